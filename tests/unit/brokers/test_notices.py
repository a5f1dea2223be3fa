"""What is told over Redis has the bytes that Celery writes and reads; golden samples are its own."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from umbel.brokers.bus import Notice, covering
from umbel.brokers.redis.mailbox import Place
from umbel.brokers.redis.notices import read, write

GOLDEN = Path(__file__).parent / "golden"
ID = "11111111-2222-4333-8444-555555555555"


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.golden").read_bytes()


@pytest.mark.parametrize("name", ["reply", "event", "events"])
def test_what_is_written_equals_what_celery_wrote_but_for_the_tag(name):
    raw = golden(name)
    written = json.loads(raw)
    place = written["properties"]["delivery_info"]
    notice = read("x", raw)
    ours = json.loads(
        write(place["exchange"], place["routing_key"], notice.payload, notice.headers)
    )
    tag = ours["properties"].pop("delivery_tag")
    assert tag != written["properties"].pop("delivery_tag")
    assert ours == written


def test_a_command_of_celery_is_read():
    notice = read("celery.pidbox", golden("ping"))
    assert notice.topic == "celery.pidbox"
    assert notice.payload["method"] == "ping"
    assert notice.payload["reply_to"]["exchange"] == "reply.celery.pidbox"
    assert set(notice.headers) == {"clock", "expires"}
    revoke = read("celery.pidbox", golden("revoke"))
    assert revoke.payload["arguments"]["task_id"] == ID
    assert "reply_to" not in revoke.payload


def test_a_list_of_events_is_read():
    events = read("celeryev/task.multi", golden("events"))
    assert [one["type"] for one in events.payload] == ["task-received", "task-started"]
    assert events.headers == {"hostname": "w1@example"}


def test_a_reply_of_celery_is_read():
    assert read("home", golden("reply")).payload == {"w1@example": {"ok": "pong"}}
    assert read("home", golden("reply")).headers["ticket"] == ID


def test_a_mailbox_is_bound_as_celerys():
    place = Place("shop:", golden("oid").decode())
    assert place.member == golden("binding").decode()
    assert place.list == f"shop:{place.name}.reply.celery.pidbox"
    assert place.bindings == "shop:_kombu.binding.reply.celery.pidbox"


def test_a_mailbox_of_another_control_exchange_names_it():
    place = Place("", "reply.shop.pidbox/home")
    assert (place.exchange, place.name) == ("reply.shop.pidbox", "home")
    assert place.list == "home.reply.shop.pidbox"


def test_a_body_that_is_plain_text_is_read_too():
    assert read("x", b'{"body": "[1]", "properties": null}') == Notice("x", [1], {})


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"headers": {}}',
        b'{"body": 1}',
        b'{"body": "{"}',
        b'{"body": "1", "headers": [1]}',
        b'{"body": "1", "properties": [1]}',
        b'{"body": "1", "content-type": "application/x-python-serialize"}',
        json.dumps(
            {"body": b64encode(b"\xff").decode(), "properties": {"body_encoding": "base64"}}
        ).encode(),
        b"[" * 100_000,
    ],
    ids=range(11),
)
def test_what_cannot_be_read_is_left_out_with_a_line_in_the_log(raw, caplog):
    assert read("celery.pidbox", raw) is None
    (line,) = caplog.messages
    assert line.startswith("Left out what cannot be read on celery.pidbox: ")
    assert "\n" not in line


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # shared machines are slow
@given(
    st.dictionaries(
        st.sampled_from(["body", "headers", "properties", "content-type", "content-encoding"]),
        json_values,
    )
)
def test_envelopes_of_any_shape_are_read_or_left_out(envelope):
    notice = read("x", json.dumps(envelope).encode())
    assert notice is None or isinstance(notice.headers, dict)


@given(st.text(), st.text())
def test_a_topic_covers_itself_and_a_star_covers_all(topic, more):
    plain = topic.replace("*", "")
    assert covering([plain])(plain)
    assert covering([f"{plain}*"])(plain + more)
    assert covering(["*"])(more)
