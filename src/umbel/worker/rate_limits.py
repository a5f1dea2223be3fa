"""Rate limits: how often tasks of one name may start on this node, all its processes together.

``Reception`` asks before a message becomes a job. One that has to wait is sent back to the broker with
a delay, so it holds up nothing and takes no slot. The state is in memory that the processes share,
made before the first fork; a rate may be changed at any time, by the supervisor alone. Limits across
nodes are not kept here.
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os
import time
import weakref
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from umbel.exceptions import ImproperlyConfigured
from umbel.spelling import closest

__all__ = ["EARLIEST", "LONGEST", "RateLimits", "interval_of"]

#: Seconds by which a start may come before its moment. Who comes so much late, as messages do that
#: come due, then costs those behind it nothing.
EARLIEST: Final = 0.05
#: Seconds for which a message is sent away at most, so that another node or a new rate may have it.
LONGEST: Final = 60.0
#: Those behind everybody who has a moment come back after half of that, so many seconds apart.
APART: Final = 0.005
#: A moment that nobody used for so long: those that were to come are gone, or late all together.
MISSED: Final = 0.5

_UNITS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
#: A century: the interval of the smallest rates.
_NEVER: Final = 3_155_760_000.0

# The cells of a task; the first belongs to the supervisor, the others to who holds the lock.
_INTERVAL = 0
#: The interval that the others were made for.
_SEEN = 1
#: The moment of the next start.
_NEXT = 2
#: The value of ``_NEXT`` that somebody was told.
_TOLD = 3
#: The first moment behind those that were told to others.
_LINE = 4
#: When the last of those who got no moment comes back.
_LATER = 5
_CELLS = 8


class RateLimits:
    """Made by the parent; ``wait`` belongs to one thread in each process. Room for every task, since
    any of them may get a rate later."""

    def __init__(self, rates: Mapping[str, Any]) -> None:
        self._places = {name: 1 + number for number, name in enumerate(rates)}
        size = 8 * _CELLS * (len(rates) + 1)
        self._cells: memoryview[float] = memoryview(mmap.mmap(-1, size)).cast("d")
        self._lock = _open_lock()
        weakref.finalize(self, os.close, self._lock)
        for name, rate in rates.items():
            try:
                self.set(name, rate)
            except ValueError as error:
                raise ImproperlyConfigured(f"{name}: {error}") from None

    @property
    def active(self) -> memoryview[float]:
        """Its first item tells, without a call, whether any task has a rate just now."""
        return self._cells

    @property
    def names(self) -> Collection[str]:
        """The tasks that can have a rate."""
        return self._places.keys()

    def set(self, name: str, rate: str | float | None) -> None:
        """Let tasks of this name start so often; None or 0: as often as they like. ``ValueError``
        says what is wrong with a rate, ``KeyError`` that there is no such task."""
        interval, cells = interval_of(rate), self._cells
        cells[self._places[name] * _CELLS + _INTERVAL] = interval
        cells[0] = sum(cells[place * _CELLS + _INTERVAL] > 0 for place in self._places.values())

    def wait(self, name: str, now: float | None = None) -> float:
        """0: a task of this name may start, and it counts. Else the seconds after which its message
        is to be tried again."""
        place = self._places.get(name, 0)
        if not (place and self._cells[place * _CELLS + _INTERVAL]):
            return 0.0
        with self._alone(place):
            return self._ask(place * _CELLS, time.monotonic() if now is None else now)

    def _ask(self, at: int, now: float) -> float:
        cells = self._cells
        interval = cells[at + _INTERVAL]
        if cells[at + _SEEN] != interval:
            cells[at + _SEEN] = interval
            cells[at + _NEXT] = min(cells[at + _NEXT], now + interval)
            cells[at + _TOLD] = cells[at + _LINE] = 0.0
        following = cells[at + _NEXT]
        if now >= following - EARLIEST:
            if now - following > interval + MISSED:
                cells[at + _LINE] = 0.0
            cells[at + _NEXT] = max(following, now) + interval
            return 0.0
        return self._send_away(at, following, now)

    def _send_away(self, at: int, following: float, now: float) -> float:
        """Each of those that wait is told a moment of its own, as far as moments go."""
        cells, interval = self._cells, self._cells[at + _INTERVAL]
        behind, horizon = following + interval, now + LONGEST + EARLIEST
        if cells[at + _TOLD] != following <= horizon:
            # Mostly who was to come now, a little early: to the end of the line would be unjust.
            cells[at + _TOLD] = moment = following
            cells[at + _LINE] = max(cells[at + _LINE], behind)
        elif (moment := max(cells[at + _LINE], behind)) <= horizon:
            cells[at + _LINE] = moment + interval
        else:
            earliest, moment = now + LONGEST / 2, cells[at + _LATER] + APART
            if not earliest <= moment <= horizon:
                moment = earliest
            cells[at + _LATER] = moment
        return max(moment - EARLIEST - now, 0.001)

    @contextmanager
    def _alone(self, place: int) -> Iterator[None]:
        """The lock is the kernel's: one that is killed holds it no longer. What it had written by then
        are moments, each of them right by itself."""
        fcntl.lockf(self._lock, fcntl.LOCK_EX, 1, place)
        try:
            yield
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN, 1, place)


def interval_of(rate: str | float | None) -> float:
    """Seconds from one start to the next; 0: there is no limit."""
    amount, _, unit = str(rate or 0).partition("/")
    period = _UNITS.get(unit)
    try:
        often = float(amount)
    except ValueError:
        often = math.nan
    if period is None or not 0 <= often < math.inf:
        raise ValueError(
            f"{rate!r} is no rate; expected a number of tasks per second, or text such as '10/s', "
            f"'100/m' or '1000/h'{_meant(amount, unit)}"
        )
    return min(period / often, _NEVER) if often else 0.0


def _meant(amount: str, unit: str) -> str:
    words = {"second": "s", "sec": "s", "minute": "m", "min": "m", "hour": "h", "hr": "h"}
    found = closest(unit.strip(), words, cutoff=0.5)
    number = amount.strip()
    if found is None or not number.replace(".", "", 1).isdecimal():
        return ""
    return f"; did you mean '{number}/{words[found]}'?"


def _open_lock() -> int:
    """A file that nobody else has: its bytes are what is locked, one for each task."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("umbel-rate-limits")
    import tempfile  # which takes 5 ms, where there is no memfd

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
