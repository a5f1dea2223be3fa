"""Places of the board without a process: which are to get one, when, and which need none.

One whose process ended well is filled at once; one whose processes die as they start, after growing
pauses, as are all of them when many die. When the worker shrinks, places wait here until it grows.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from umbel.worker.board import Board, Place

__all__ = ["Vacancies"]

PAUSE_LAST = 10.0
#: So many crashes within so many seconds mean that something is wrong with more than one task.
CRASHES, WITHIN = 40, 5.0
#: Seconds before another attempt to start a process.
FORK_AGAIN = 0.05


class Vacancies:
    """Belongs to the supervisor's thread. ``len`` is the number of places to be filled."""

    def __init__(self, board: Board) -> None:
        self._board = board
        #: With the moment before which it stays empty, and how many died there as they started.
        self._open: list[tuple[Place, float, int]] = [(place, 0.0, 0) for place in board.places]
        self._unused: list[Place] = []
        #: Moments of the last crashes.
        self._crashes: deque[float] = deque(maxlen=CRASHES)

    def __len__(self) -> int:
        return len(self._open)

    @property
    def moments(self) -> list[float]:
        """When the places are to be filled."""
        return [not_before for _place, not_before, _failures in self._open]

    def fill(self, fork: Callable[[Place, int], bool]) -> None:
        """Fill those that are due; ``fork`` says False when that cannot be done just now."""
        now = time.monotonic()
        waiting = []
        for place, not_before, failures in self._open:
            if not_before > now:
                waiting.append((place, not_before, failures))
            elif not fork(place, failures):
                waiting.append((place, now + FORK_AGAIN, failures))
        self._open = waiting

    def clear(self) -> None:
        """Fill no more places."""
        self._open = []

    def vacate(self, place: Place, *, failures: int, crashed: bool) -> None:
        """The process here has ended; ``failures`` counts those in a row that started badly."""
        now = time.monotonic()
        pause = min(PAUSE_LAST, 0.1 * 2**failures) if failures > 1 else 0.0
        if crashed:
            self._crashes.append(now)
            if len(self._crashes) == CRASHES and now - self._crashes[0] < WITHIN:
                pause = max(pause, 1.0)
        self._open.append((place, now + pause, failures))

    def give_up(self, place: Place) -> None:
        """This place gets no process until one more is needed."""
        place.clear()
        self._unused.append(place)

    def add(self) -> bool:
        """Have one more place filled; False when there is none."""
        place = self._unused.pop() if self._unused else self._board.add()
        if place is None:
            return False
        self._open.append((place, 0.0, 0))
        return True

    def remove(self) -> bool:
        """Have one place less filled; False when all are taken."""
        if not self._open:
            return False
        self.give_up(self._open.pop()[0])
        return True
