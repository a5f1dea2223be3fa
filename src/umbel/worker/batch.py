"""How many messages a process keeps at hand: about 50 ms of work for each slot.

Short tasks are taken in large batches, which costs one round trip for many; a long task makes the
batch one, so that work does not wait behind it while other workers are idle.
"""

from __future__ import annotations

__all__ = ["BatchSize"]

#: Seconds of work to keep at hand for each slot.
AHEAD = 0.05
#: Seconds that a job costs besides the user's function.
OVERHEAD = 30e-6
LARGEST = 250
#: How much one observation weighs in the average.
WEIGHT = 0.2
GROWTH = 4


class BatchSize:
    """``fixed``: messages per slot, whatever the tasks take (``worker_prefetch_multiplier``)."""

    def __init__(self, slots: int, fixed: int | None = None) -> None:
        self.slots = slots
        self.fixed = fixed
        self._average = AHEAD
        self._last = 1

    def observe(self, runtime: float) -> None:
        """A job ran for so many seconds."""
        self._average += WEIGHT * (runtime + OVERHEAD - self._average)

    def target(self) -> int:
        """How many messages to have at hand now, running ones included."""
        if self.fixed is not None:
            return max(self.fixed, 1) * self.slots
        wanted = min(int(AHEAD / self._average), LARGEST)
        # A process that has just started knows little: it grows step by step.
        self._last = max(1, min(wanted, self._last * GROWTH))
        return self._last * self.slots
