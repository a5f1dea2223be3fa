"""When a process has worked long enough: after so many jobs, or when it has grown too large.

The consumer's loop asks here, takes no more messages once the answer is yes, finishes, settles and
leaves; the supervisor starts another process. Nobody is ended in the middle of a job, and each
process runs at least one, so that one that is too large from its start does its share, too.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
import time

__all__ = ["Wear", "resident"]

logger = logging.getLogger("umbel.worker")

#: Seconds between looks at the memory: one costs 8 µs, a third of what a short job takes.
WEIGH_EVERY = 0.005
UNLIMITED = sys.maxsize


class Wear:
    """``max_memory``: KiB resident. Made in the process that it is about."""

    def __init__(self, max_jobs: int | None = None, max_memory: int | None = None) -> None:
        self.max_jobs = max_jobs
        self.max_memory = max_memory
        self._outgrown = False
        self._weigh_at = 0.0

    def left(self, ran: int) -> int:
        """How many more jobs a process that ran so many may begin."""
        if self._outgrown:
            return 0
        return UNLIMITED if self.max_jobs is None else self.max_jobs - ran

    def worn(self, ran: int) -> bool:
        """Whether a process that ran so many jobs is to be replaced; once yes, always yes."""
        if self.max_jobs is not None and ran >= self.max_jobs:
            return True
        if self.max_memory is not None and ran and not self._outgrown:
            self._weigh(self.max_memory)
        return self._outgrown

    def _weigh(self, limit: int) -> None:
        now = time.monotonic()
        if now < self._weigh_at:
            return
        self._weigh_at = now + WEIGH_EVERY
        weight = resident()
        if weight > limit:
            self._outgrown = True
            logger.info("Process %d is replaced: it has %d of %d KiB", os.getpid(), weight, limit)


def resident() -> int:
    """The KiB of memory that this process has now; where the system does not say, at most had."""
    try:
        with open("/proc/self/statm", "rb", buffering=0) as file:  # noqa: PTH123 - half the time
            return int(file.read(64).split()[1]) * _PAGE // 1024
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most // 1024 if sys.platform == "darwin" else most


_PAGE = os.sysconf("SC_PAGE_SIZE")
