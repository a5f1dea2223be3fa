"""Finds the settlement that a broker or backend cannot write, so that it does not hold up others."""

from __future__ import annotations

from umbel.brokers.base import Consumer, Settlement, Verdict
from umbel.exceptions import OperationalError
from umbel.message.tracebacks import one_line

__all__ = ["written_alone"]


def written_alone(consumer: Consumer, settlement: Settlement) -> Settlement:
    """The settlement, or where it cannot be written, one that says so."""
    try:
        consumer.exchange([settlement], 0)
    except OperationalError:
        return settlement
    except Exception as error:  # noqa: BLE001 - it is told as the reason
        reason = f"{type(error).__name__}: {one_line(error)}"
        return Settlement(delivery=settlement.delivery, verdict=Verdict.REJECT, reason=reason)
    # It has ended; settling it again is refused and does no harm.
    return Settlement(delivery=settlement.delivery, verdict=Verdict.ACK)
