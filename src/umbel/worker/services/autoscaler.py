"""Scales a worker with its work: more processes when all are busy and messages wait, less afterwards.

One thread in the supervisor. Who is busy stands on the board; the broker is asked how many messages
wait only when all are, and there may be more. Processes that nobody needed for a while are told to
leave, one after the other; what they run comes to its end.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection

from umbel.brokers.base import Broker
from umbel.exceptions import OperationalError
from umbel.service import Service
from umbel.worker.board import Place
from umbel.worker.size import Size

__all__ = ["Autoscaler"]

logger = logging.getLogger("umbel.worker")

#: Seconds between looks.
LOOK_EVERY = 0.5


class Autoscaler(Service):
    """``staying``: the places of the processes that are not about to leave. ``keepalive``: seconds
    for which a process that nobody needs stays. ``quiet`` is held while the broker is being talked
    to (do not fork then)."""

    name = "autoscaler"

    def __init__(
        self,
        *,
        size: Size,
        staying: Callable[[], Collection[Place]],
        broker: Broker,
        queues: Callable[[], Collection[str]],
        quiet: threading.Lock,
        keepalive: float,
    ) -> None:
        super().__init__()
        self.size = size
        self.staying = staying
        self.broker = broker
        self.queues = queues
        self.quiet = quiet
        self.keepalive = keepalive
        #: Monotonic moment when so many processes were last needed, by their number.
        self._needed_at: dict[int, float] = {}

    def run(self) -> None:
        self._note_need(self.size.wanted, time.monotonic())
        while not self._stopping.wait(LOOK_EVERY):
            try:
                self.look(time.monotonic())
            except OperationalError as error:
                logger.debug("The autoscaler cannot see what waits: %s", error)
            except Exception:
                logger.exception("The autoscaler could not look")

    @property
    def status(self) -> dict[str, int]:
        """Under Celery's names: the bounds, the processes there are, and those that are busy."""
        places, (least, most) = self.staying(), self.size.bounds or (0, 0)
        busy = _busy(places)
        return {"max": most, "min": least, "current": len(places), "qty": busy}

    def look(self, now: float) -> None:
        """Look once, and wish for another size if it is time."""
        places, wanted = self.staying(), self.size.wanted
        busy = _busy(places)
        self._note_need(busy, now)
        if busy >= wanted == len(places):
            self._grow(wanted, now)
        elif now - self._needed_at.setdefault(wanted, now) >= self.keepalive:
            self._shrink(wanted)

    def _note_need(self, processes: int, now: float) -> None:
        for number in range(1, processes + 1):
            self._needed_at[number] = now

    def _grow(self, wanted: int, now: float) -> None:
        bounds = self.size.bounds
        if bounds is None or wanted >= bounds[1]:
            return
        waiting = self._waiting()
        if waiting:
            wanted = self.size.scale(waiting)
            self._note_need(wanted, now)
            logger.info("Growing to %d processes: %d messages wait", wanted, waiting)

    def _shrink(self, wanted: int) -> None:
        if self.size.scale(-1) < wanted:
            logger.info("Shrinking to %d processes", wanted - 1)

    def _waiting(self) -> int:
        """How many messages the worker could run now if it had the processes."""
        queues = self.queues()
        with self.quiet:
            found = self.broker.admin.queues(list(queues))
        return sum(one.ready for one in found if one.name in queues and not one.paused)


def _busy(places: Collection[Place]) -> int:
    """How many processes are there and have something to do."""
    return sum(1 for place in places if place.ready and not place.idle)
