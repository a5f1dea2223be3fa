"""A clock for tests."""

from __future__ import annotations

from umbel.clock import Clock

__all__ = ["Movable"]


class Movable(Clock):
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.moment = 1_000_000_000.0

    def now(self) -> float:
        return self.moment

    def monotonic(self) -> float:
        return self.moment
