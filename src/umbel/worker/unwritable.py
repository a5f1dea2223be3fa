"""Finds the settlement that a broker or backend cannot write, so that it does not hold up others."""

from __future__ import annotations

from umbel.brokers.base import Consumer, Settlement, Verdict
from umbel.exceptions import OperationalError
from umbel.message.tracebacks import one_line
from umbel.worker.rescue import failure_record

__all__ = ["written_alone"]


def written_alone(consumer: Consumer, settlement: Settlement) -> Settlement:
    """The settlement, or where it cannot be written, one that says so, also to those who wait for
    the result."""
    try:
        consumer.exchange([settlement], 0)
    except OperationalError:
        return settlement
    except Exception as error:  # noqa: BLE001 - it is told as the reason
        return _refused(settlement, error)
    # It has ended; settling it again is refused and does no harm.
    return Settlement(delivery=settlement.delivery, verdict=Verdict.ACK)


def _refused(settlement: Settlement, error: Exception) -> Settlement:
    reason = f"{type(error).__name__}: {one_line(error)}"
    record = settlement.record
    if record is not None:
        record = failure_record(record.task_id, error, record.ttl, name=record.name)
    if settlement.reason == reason:  # this was such a one already
        record = None
    return Settlement(
        delivery=settlement.delivery, verdict=Verdict.REJECT, reason=reason, record=record
    )
