"""What remains of jobs whose loans ended before they ran (``acks_late=False``).

There is no loan any more with which a result or a retry could be settled in one step: records are
stored and messages sent by themselves, as often as it takes.
"""

from __future__ import annotations

from collections import deque

from umbel.brokers.base import Broker, RecordStore, Settlement

__all__ = ["Aftermath"]


class Aftermath:
    """``add`` may be called by any thread, ``settle_next`` by one at a time."""

    def __init__(self, broker: Broker, records: RecordStore | None) -> None:
        self.broker = broker
        self.records = records
        self._waiting: deque[Settlement] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, settlement: Settlement) -> None:
        """Keep it until it has been dealt with."""
        self._waiting.append(settlement)

    def settle_next(self) -> bool:
        """Deal with the oldest; False when there is none. Raises OperationalError, and then it
        stays."""
        if not self._waiting:
            return False
        settlement = self._waiting[0]
        if settlement.record is not None and self.records is not None:
            self.records.store_many([settlement.record])
        if settlement.publish:
            self.broker.publish(settlement.publish)
        self._waiting.popleft()
        return True
