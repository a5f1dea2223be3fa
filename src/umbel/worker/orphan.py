"""The heartbeat of a process whose supervisor died: until it has finished, it says itself that it lives."""

from __future__ import annotations

import time

from umbel.brokers.base import Broker
from umbel.exceptions import OperationalError
from umbel.worker.outage import Outage

__all__ = ["OwnHeartbeat"]

#: Seconds between two of them.
EVERY = 1.0


class OwnHeartbeat:
    """Belongs to the thread of the loop, or to its guardian while that is busy."""

    def __init__(self, broker: Broker, outage: Outage) -> None:
        self._broker = broker
        self._outage = outage
        self._next = 0.0

    def beat(self, consumer_id: str) -> None:
        """Once in a while; may be called as often as one likes."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + EVERY
            try:
                self._broker.beat([consumer_id])
            except OperationalError as error:
                self._outage.lost(error)
