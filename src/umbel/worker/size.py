"""How many processes a worker is to have: what people and the autoscaler wish, and the supervisor does.

A wish is a number; whoever changes it gets an answer at once. The supervisor compares it with what
there is in each of its turns. It starts processes, or tells some to finish and leave; it ends none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from umbel.exceptions import UmbelError

__all__ = ["Refusal", "Size"]


class Refusal(UmbelError):
    """The worker cannot have that size; says why."""


class Size:
    """All methods may be called from any thread. ``room``: the most processes that there can ever
    be; ``changed`` is called after each change; ``bounds``: least and most, when it is scaled
    according to the work."""

    def __init__(
        self,
        wanted: int,
        *,
        room: int,
        changed: Callable[[], None],
        bounds: tuple[int, int] | None = None,
    ) -> None:
        self.wanted = wanted
        self.room = room
        self.bounds = bounds
        self._changed = changed
        self._lock = threading.Lock()

    def grow(self, number: int) -> None:
        """So many more."""
        self._refuse_by_hand(number, "pool_grow")
        with self._lock:
            if self.wanted + number > self.room:
                raise Refusal(
                    f"there is room for {self.room} processes; {self.wanted} and {number} more are "
                    "too many"
                )
            self.wanted += number
        self._changed()

    def shrink(self, number: int) -> None:
        """So many less, but at least one."""
        self._refuse_by_hand(number, "pool_shrink")
        with self._lock:
            if self.wanted - number < 1:
                raise Refusal(f"one process has to stay; {number} of {self.wanted} are too many")
            self.wanted -= number
        self._changed()

    def scale(self, by: int) -> int:
        """So many more, or less, but never beyond the bounds; how many there are to be."""
        with self._lock:
            if self.bounds is not None:
                least, most = self.bounds
                self.wanted = min(max(self.wanted + by, least), most)
            wanted = self.wanted
        self._changed()
        return wanted

    def bound(self, most: int | None, least: int | None) -> tuple[int, int]:
        """Change the bounds between which it is scaled; None: as it was. Least and most from now on."""
        if self.bounds is None:
            raise Refusal("Autoscale not enabled")
        for number in (most, least):
            _refuse_unless_whole(0 if number is None else number)
        with self._lock:
            lower = max(1, self.bounds[0] if least is None else least)
            upper = self.bounds[1] if most is None else most
            if not lower <= upper <= self.room:
                raise Refusal(
                    f"it cannot be scaled between {lower} and {upper} processes; 1 <= min <= max <= "
                    f"{self.room} has to hold"
                )
            self.bounds = lower, upper
        self.scale(0)
        return lower, upper

    def _refuse_by_hand(self, number: int, command: str) -> None:
        if self.bounds is not None:
            raise Refusal(
                f"{command} is not supported with autoscale. Adjust autoscale range instead."
            )
        _refuse_unless_whole(number)
        if number < 1:
            raise Refusal(f"{command} takes a number above 0, not {number}")


def _refuse_unless_whole(number: object) -> None:
    if not isinstance(number, int) or isinstance(number, bool):
        raise Refusal(f"{number!r} is not a whole number")
