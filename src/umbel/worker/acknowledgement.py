"""A slot's wish to end a loan before its job runs (``acks_late=False``), and the broker's answer."""

from __future__ import annotations

import threading

from umbel.brokers.base import Delivery, Settlement, Verdict

__all__ = ["Acknowledgement"]


class Acknowledgement:
    """``answer`` is called once, by the loop; the slot waits for ``answered``."""

    __slots__ = ("accepted", "answered", "settlement")

    def __init__(self, delivery: Delivery) -> None:
        self.settlement = Settlement(delivery=delivery, verdict=Verdict.ACK)
        self.accepted = False
        self.answered = threading.Event()

    def answer(self, *, accepted: bool) -> None:
        """Whether the loan was still there to be ended."""
        self.accepted = accepted
        self.answered.set()
