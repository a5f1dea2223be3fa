"""Tells monitors that the node is there: worker-online, worker-heartbeat, worker-offline.

One thread in the supervisor (or beside a solo worker). This heartbeat is for people who look on; the
one that keeps loans alive is the steward's.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from umbel.brokers.bus import Bus
from umbel.events.celery_form import stamped, utcoffset
from umbel.events.lamport import LamportClock
from umbel.exceptions import OperationalError
from umbel.service import Service
from umbel.version import VERSION
from umbel.worker.board import Place

__all__ = ["Heart", "Tally"]

logger = logging.getLogger("umbel.worker")

#: Seconds that the server has to take a heartbeat.
_PATIENCE = 1.0


class Tally:
    """How many jobs the processes of a node have ended, also those that are no more."""

    def __init__(self, places: Sequence[Place]) -> None:
        self.places = places
        self._before = 0
        self._last = [0] * len(places)

    def count(self) -> int:
        """Look, and give the sum. To be called when a process has ended, too, before another
        takes its place."""
        for index, place in enumerate(self.places):
            if index == len(self._last):  # the pool has grown
                self._last.append(0)
            ran = place.ran
            if ran < self._last[index]:
                self._before += self._last[index]
            self._last[index] = ran
        return self._before + sum(self._last)

    @property
    def active(self) -> int:
        """How many jobs run now."""
        return sum(len(place.running) for place in self.places)


class Heart(Service):
    """``wanted`` says whether to beat at all just now; ``quiet`` is held while the broker is being
    talked to (do not fork then)."""

    name = "heart"

    def __init__(
        self,
        *,
        bus: Bus,
        quiet: AbstractContextManager[object],
        clock: LamportClock,
        node: str,
        exchange: str,
        interval: float,
        tally: Tally,
        wanted: Callable[[], bool],
    ) -> None:
        super().__init__()
        self.bus = bus
        self.quiet = quiet
        self.clock = clock
        self.node = node
        self.exchange = exchange
        self.interval = interval
        self.tally = tally
        self.wanted = wanted
        self._beating = threading.Lock()
        self._online = False
        self._news = threading.Event()

    def look(self) -> None:
        """``wanted`` may say something else now."""
        self._news.set()

    def stop(self) -> None:
        super().stop()
        self._news.set()

    def run(self) -> None:
        while not self.stopping:
            if self.wanted():
                self.beat()
            self._news.wait(self.interval)
            self._news.clear()
        if self._online:
            self._tell("worker-offline")

    def beat(self) -> None:
        """Tell it once; from any thread."""
        with self._beating:
            self._online = self._tell("worker-heartbeat" if self._online else "worker-online")

    def _tell(self, name: str) -> bool:
        """False when the server did not take it."""
        event = stamped(
            name,
            {
                "freq": self.interval,
                "active": self.tally.active,
                "processed": self.tally.count(),
                "loadavg": [round(load, 2) for load in os.getloadavg()],
                "sw_ident": "py-umbel",
                "sw_ver": VERSION,
                "sw_sys": os.uname().sysname,
            },
            hostname=self.node,
            pid=os.getpid(),
            clock=self.clock.forward(),
            offset=utcoffset(),
        )
        topic = f"{self.exchange}/{name.replace('-', '.')}"
        try:
            with self.quiet:
                self.bus.publish(topic, event, {"hostname": self.node}, _PATIENCE)
        except OperationalError as error:
            logger.debug("%s", error)
            return self._online
        return True
