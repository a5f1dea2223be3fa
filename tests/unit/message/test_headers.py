"""Headers in wire order, ids, and moments as text."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as some

from umbel.message.headers import STANDARD, isoformat, make_headers, make_id, parse_moment

PLAIN = json.loads((Path(__file__).parent / "golden" / "plain.json").read_text(encoding="utf-8"))


def test_the_headers_are_those_of_celery_in_its_order():
    made = make_headers(
        "proj.add",
        PLAIN["headers"]["id"],
        "(2, 3)",
        "{}",
        PLAIN["headers"]["origin"],
        ignore_result=None,
    )
    assert list(made.items()) == list(PLAIN["headers"].items())
    assert len(made) == STANDARD


def test_every_option_has_its_header():
    made = make_headers(
        "t",
        "i",
        "a",
        "k",
        "o",
        shadow="s",
        eta="e",
        expires="x",
        group="g",
        group_index=1,
        retries=2,
        time_limit=30,
        soft_time_limit=20,
        root_id="r",
        parent_id="p",
        ignore_result=True,
        replaced_task_nesting=3,
        stamped_headers=["stamp"],
        stamps={"stamp": 1},
    )
    assert made["timelimit"] == [30, 20]
    assert [made[name] for name in ("shadow", "eta", "expires", "group", "group_index")] == [
        "s", "e", "x", "g", 1,
    ]  # fmt: skip
    assert [made[name] for name in ("retries", "root_id", "parent_id", "ignore_result")] == [
        2, "r", "p", True,
    ]  # fmt: skip
    assert made["replaced_task_nesting"] == 3
    assert (made["stamped_headers"], made["stamps"]) == (["stamp"], {"stamp": 1})


def test_the_users_headers_come_last_and_win():
    made = make_headers("t", "i", "", "", "", headers={"trace": "abc", "shadow": "mine"})
    assert list(made)[-1] == "trace"
    assert made["shadow"] == "mine"


def test_two_messages_share_no_containers():
    one, other = (make_headers("t", "i", "", "", "") for _ in range(2))
    one["stamps"]["x"] = 1
    one["timelimit"][0] = 5
    assert (other["stamps"], other["timelimit"]) == ({}, [None, None])


def test_an_id_is_a_random_uuid_whatever_the_seed_of_the_random_module():
    random.seed(1)
    first = make_id()
    random.seed(1)
    ids = {first, *(make_id() for _ in range(1000))}
    assert len(ids) == 1001
    assert all(UUID(text).version == 4 and UUID(text).variant == RFC_4122 for text in ids)
    assert all(str(UUID(text)) == text for text in ids)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1970-01-01T00:00:00+00:00", 0),
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00", 0),
        ("1970-01-01T05:30:00+05:30", 0),
        ("1970-01-01 00:00:01.5", 1.5),
        ("19700101T000001Z", 1),
        ("1970-01-02", 86400),
        (datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), 0),
        (datetime(1970, 1, 1), 0),  # noqa: DTZ001 - naive means UTC
    ],
    ids=str,
)
def test_a_moment_is_read(text, moment):
    assert parse_moment(text) == moment


@pytest.mark.parametrize("text", ["", "soon", "2020-13-01", 5, None, 1.5, [], b"2020-01-01", {}])
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(ValueError, match=r".+"):
        parse_moment(text)


@given(some.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001
def test_a_moment_comes_back_to_the_microsecond(naive):
    moment = naive.replace(tzinfo=UTC).timestamp()
    text = isoformat(moment)
    assert text.endswith("+00:00")
    assert parse_moment(text) == pytest.approx(moment, abs=1e-6)


@pytest.mark.parametrize("moment", [1e12, -1e12, 1e300, float("inf"), float("nan")])
def test_a_moment_beyond_the_calendar_is_a_value_error(moment):
    with pytest.raises(ValueError, match=r".+"):
        isoformat(moment)
