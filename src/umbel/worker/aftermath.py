"""What remains of jobs whose loans ended before they ran (``acks_late=False``).

There is no loan any more with which a result or a retry could be settled in one step: records are
stored and messages sent by themselves, as often as it takes.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec.structs import replace

from umbel import states
from umbel.brokers.base import Broker, RecordStore, Settlement
from umbel.exceptions import OperationalError
from umbel.message.failure import describe
from umbel.message.message import Message
from umbel.message.record import ResultRecord
from umbel.message.tracebacks import format_traceback
from umbel.worker.board import Slot

__all__ = ["Aftermath"]

logger = logging.getLogger("umbel.worker")


class Aftermath:
    """``add`` may be called by any thread, ``settle_next`` by one at a time."""

    def __init__(self, broker: Broker, records: RecordStore | None) -> None:
        self.broker = broker
        self.records = records
        self._waiting: deque[tuple[Slot, Settlement]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, slot: Slot, settlement: Settlement) -> None:
        """Keep it until it has been dealt with; then the slot is told."""
        self._waiting.append((slot, settlement))

    def settle_next(self) -> bool:
        """Deal with the oldest; False when there is none. Raises OperationalError, and then it
        stays. What can never be sent or stored is a failure of its task."""
        if not self._waiting:
            return False
        slot, settlement = self._waiting[0]
        try:
            self._deal_with(settlement.record, settlement.publish)
        except OperationalError:
            raise
        except Exception as error:
            logger.exception("What task %s left cannot be kept", _name(settlement))
            if settlement.record is not None:
                self._deal_with(_failed(settlement.record, error), ())
        self._waiting.popleft()
        slot.acknowledge("")
        return True

    def _deal_with(self, record: ResultRecord | None, messages: Sequence[Message]) -> None:
        # The record first: storing it again does no harm, sending again would.
        if record is not None and self.records is not None:
            self.records.store_many([record])
        if messages:
            self.broker.publish(messages)


def _name(settlement: Settlement) -> str:
    message = settlement.delivery.message
    return "?" if message is None else f"{message.task}[{message.id}]"


def _failed(record: ResultRecord, error: Exception) -> ResultRecord:
    return replace(
        record,
        status=states.FAILURE,
        result=describe(error),
        traceback=format_traceback(error),
        date_done=datetime.now(UTC).isoformat(),
    )
