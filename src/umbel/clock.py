"""What time it is, as a value that can be handed in, so that tests can move it."""

from __future__ import annotations

import time
from datetime import UTC, datetime

__all__ = ["SYSTEM", "Clock"]


class Clock:
    """The machine's clock. Subclass it to stand still or to jump."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds on a clock that never steps; only differences mean something."""
        return time.monotonic()

    def utcnow(self) -> datetime:
        """The present moment as an aware UTC datetime."""
        return datetime.fromtimestamp(self.now(), UTC)


SYSTEM = Clock()
