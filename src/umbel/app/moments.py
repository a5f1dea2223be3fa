"""Moments as callers give them (naive or aware, seconds from now, ISO text) made definite.

Everything that leaves this module is aware: a naive datetime means the sender's own zone, which is
the app's ``timezone`` setting or else the zone of this machine. Receivers never have to guess.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, tzinfo
from numbers import Real
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from umbel.exceptions import ImproperlyConfigured

__all__ = ["Moment", "aware", "from_now", "later", "moment", "zone"]

#: A number may be of any kind (Decimal, numpy).
Moment = datetime | timedelta | float | str | Any


def aware(value: datetime, local: tzinfo | None) -> datetime:
    """The same moment with its offset; ``local`` None: the rules of this machine's zone."""
    if value.tzinfo is not None:
        return value
    return value.astimezone() if local is None else value.replace(tzinfo=local)


def later(seconds: float) -> datetime:
    """That many seconds from now, in UTC."""
    return datetime.fromtimestamp(time.time() + seconds, UTC)


def moment(value: Moment, local: tzinfo | None, *, what: str) -> datetime:
    """A definite moment from a datetime, an ISO text, or seconds (or a timedelta) from now."""
    if isinstance(value, datetime):
        return _within_the_calendar(value, local, what)
    if isinstance(value, timedelta):
        return from_now(value, what=what)
    if isinstance(value, str):
        try:
            read = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{what}={value!r} is not an ISO 8601 date and time") from None
        return _within_the_calendar(read, local, what)
    if not isinstance(value, bool) and isinstance(value, Real):
        return from_now(value, what=what)
    raise TypeError(f"{what} must be a datetime, an ISO 8601 text or seconds, not {value!r}")


def _within_the_calendar(value: datetime, local: tzinfo | None, what: str) -> datetime:
    try:
        found = aware(value, local)
        found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{what}={value} is not between the years 1 and 9999 in UTC") from None
    return found


def from_now(value: Any, *, what: str) -> datetime:
    """A definite moment from seconds, or a timedelta, from now."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(
            f"{what} must be seconds from now, as a number or a timedelta, not {value!r}"
        )
    try:
        return later(float(value))
    except (ValueError, OverflowError):
        raise ValueError(
            f"{what} is {value!r} seconds, which is no moment from now to the year 9999"
        ) from None


def zone(setting: str | tzinfo | None) -> tzinfo | None:
    """The zone that the ``timezone`` setting names; None where it names none."""
    if setting is None or isinstance(setting, tzinfo):
        return setting
    if setting.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(setting)
    except (ZoneInfoNotFoundError, ValueError):
        raise ImproperlyConfigured(f"timezone = {setting!r} is not a known time zone") from None
