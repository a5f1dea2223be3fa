"""The whole suite that every broker passes: one class, told in chapters.

Inherit from ``BrokerConformance`` and say how to reach an empty store (see ``kind.py``).
"""

from __future__ import annotations

from umbel.testing.conformance.broker_admin import AdminChapter
from umbel.testing.conformance.broker_async import AsyncSendingChapter
from umbel.testing.conformance.broker_bus import BusChapter
from umbel.testing.conformance.broker_dead import DeadLetterChapter
from umbel.testing.conformance.broker_delay import DelayChapter
from umbel.testing.conformance.broker_delivery import DeliveryChapter
from umbel.testing.conformance.broker_load import LoadChapter
from umbel.testing.conformance.broker_park import ParkChapter
from umbel.testing.conformance.broker_pause import PauseChapter
from umbel.testing.conformance.broker_rescue import RescueChapter
from umbel.testing.conformance.broker_revoke import RevokeChapter
from umbel.testing.conformance.broker_settlement import SettlementChapter
from umbel.testing.conformance.broker_unreadable import UnreadableChapter
from umbel.testing.conformance.broker_wait import WaitChapter

__all__ = ["BrokerConformance"]


class BrokerConformance(
    DeliveryChapter,
    AsyncSendingChapter,
    SettlementChapter,
    DelayChapter,
    WaitChapter,
    ParkChapter,
    PauseChapter,
    RescueChapter,
    RevokeChapter,
    DeadLetterChapter,
    AdminChapter,
    LoadChapter,
    UnreadableChapter,
    BusChapter,
):
    """Every promise of ``Broker``, ``Consumer``, ``QueueAdmin`` and ``Bus``."""
