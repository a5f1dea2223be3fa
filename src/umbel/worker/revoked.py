"""What one process knows of the tasks that are revoked.

Each exchange tells how often tasks were revoked so far. Only when that has changed the ids are read,
by the next job that would start; as long as nobody revokes anything, no job asks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from umbel.brokers.base import Broker
from umbel.message.stamps import marks_of

__all__ = ["Revoked"]


class Revoked:
    """Ids of tasks that may not start. ``first`` is called when there may be any for the first time."""

    def __init__(self, broker: Broker, first: Callable[[], None]) -> None:
        self._broker = broker
        self._first: Callable[[], None] | None = first
        #: What the last exchange told.
        self.version = 0
        self._loaded = 0
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()

    def note(self, version: int) -> None:
        """An exchange has told this."""
        self.version = version
        first, self._first = self._first, None
        if first is not None:
            first()

    def holds(self, task_id: str, stamps: Any = None) -> bool:
        """Whether the task of this id, or with one of these stamps, may not start. Raises
        ``OperationalError`` when that cannot be asked."""
        if self._loaded != self.version:
            self._load()
        known = self._until
        if task_id in known and known[task_id] > time.time():
            return True
        marks = marks_of(stamps) & known.keys() if stamps else ()
        return any(known[mark] > time.time() for mark in marks)

    def _load(self) -> None:
        with self._lock:
            version = self.version
            if self._loaded != version:
                self._until = self._broker.revoked()
                self._loaded = version
