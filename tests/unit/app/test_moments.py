from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest

from umbel.app.moments import aware, from_now, later, moment, zone
from umbel.exceptions import ImproperlyConfigured

ZONES = ["Asia/Shanghai", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "UTC"]


@pytest.fixture(params=ZONES)
def machine_zone(request) -> Iterator[ZoneInfo]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = request.param
    time.tzset()
    yield ZoneInfo(request.param)
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.parametrize("month", [1, 7])
def test_a_naive_moment_means_the_zone_of_this_machine_in_summer_and_winter(machine_zone, month):
    naive = datetime(2030, month, 15, 12, 30)  # noqa: DTZ001 - naive on purpose

    assert aware(naive, None) == naive.replace(tzinfo=machine_zone)


def test_a_naive_moment_just_ahead_is_just_ahead(machine_zone):
    naive = datetime.now() + timedelta(seconds=60)  # noqa: DTZ005 - naive on purpose

    made = moment(naive, None, what="eta")

    assert made.timestamp() == pytest.approx(time.time() + 60, abs=1)


def test_a_naive_moment_means_the_apps_zone_where_there_is_one(machine_zone):
    tokyo = ZoneInfo("Asia/Tokyo")

    naive = datetime(2030, 1, 1, 9)  # noqa: DTZ001 - naive on purpose

    assert aware(naive, tokyo) == datetime(2030, 1, 1, 0, tzinfo=UTC)


def test_an_aware_moment_stays_in_its_own_zone():
    tokyo = datetime(2030, 1, 1, 9, tzinfo=ZoneInfo("Asia/Tokyo"))

    assert moment(tokyo, UTC, what="eta") is tokyo


@pytest.mark.parametrize("given", [90, 90.0, Fraction(90), timedelta(seconds=90)])
def test_seconds_count_from_now(given):
    made = moment(given, None, what="expires")

    assert made.timestamp() == pytest.approx(time.time() + 90, abs=1)
    assert made.tzinfo is UTC


def test_text_is_read_as_iso_8601():
    assert moment("2030-01-01T09:00:00+09:00", None, what="eta") == datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ("tomorrow", ValueError, "eta='tomorrow' is not an ISO 8601 date and time"),
        (None, TypeError, "eta must be a datetime"),
        (True, TypeError, "eta must be a datetime"),
        ([1], TypeError, "eta must be a datetime"),
    ],
)
def test_what_is_no_moment_is_refused(given, error, words):
    with pytest.raises(error, match=words):
        moment(given, None, what="eta")


def test_later_is_an_aware_moment_in_utc():
    assert later(5) - datetime.now(UTC) == pytest.approx(
        timedelta(seconds=5), abs=timedelta(seconds=1)
    )


def test_a_zone_is_found_by_name():
    assert zone("Europe/Berlin") == ZoneInfo("Europe/Berlin")
    assert zone("utc") is UTC
    assert zone(None) is None
    assert zone(ZoneInfo("Asia/Tokyo")) == ZoneInfo("Asia/Tokyo")


def test_an_unknown_zone_is_refused():
    with pytest.raises(ImproperlyConfigured, match="'Mars/Olympus' is not a known time zone"):
        zone("Mars/Olympus")


@pytest.mark.parametrize("given", ["soon", True, datetime(2030, 1, 1, tzinfo=UTC), [1]])
def test_a_countdown_is_seconds_or_a_timedelta(given):
    with pytest.raises(
        TypeError, match="countdown must be seconds from now, as a number or a timed"
    ):
        from_now(given, what="countdown")


@pytest.mark.parametrize("given", [1e12, float("nan"), float("inf"), -1e12])
def test_seconds_that_reach_no_moment_are_named_with_their_option(given):
    with pytest.raises(ValueError, match=r"countdown is \S+ seconds, which is no moment"):
        from_now(given, what="countdown")


@pytest.mark.parametrize(
    ("given", "local"),
    [
        (datetime(1, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo")), None),
        (datetime(9999, 12, 31, 23, tzinfo=ZoneInfo("America/Lima")), None),
        (datetime(1, 1, 1), ZoneInfo("Asia/Tokyo")),  # noqa: DTZ001
        ("0001-01-01T00:00:00+05:00", None),
    ],
)
def test_a_moment_beyond_the_calendar_is_named_with_its_option(given, local):
    with pytest.raises(ValueError, match=r"^eta=.* is not between the years 1 and 9999 in UTC$"):
        moment(given, local, what="eta")
