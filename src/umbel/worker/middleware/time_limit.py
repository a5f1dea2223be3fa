"""Soft and hard time limits.

The soft limit raises ``SoftTimeLimitExceeded`` inside the task. The hard limit is a moment written
on the board that parent and children share: the supervisor ends a process that is past it.
Limits of the call (header ``timelimit``: hard first, then soft) win over the task's own.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from types import TracebackType

from umbel.exceptions import SoftTimeLimitExceeded
from umbel.worker.alarm import Alarm
from umbel.worker.board import Slot
from umbel.worker.job import Job
from umbel.worker.middleware.base import Middleware

__all__ = ["TimeLimit"]


class TimeLimit(Middleware):
    """``hard`` and ``soft``: seconds, for tasks that say nothing themselves; None: no limit."""

    def __init__(self, alarm: Alarm, slot: Slot, hard: float | None, soft: float | None) -> None:
        self.alarm = alarm
        self.slot = slot
        self.hard = hard
        self.soft = soft

    def around(self, job: Job) -> AbstractContextManager[None] | None:
        hard, soft = self.limits(job)
        if not hard and not soft:
            return None
        return _Limited(self, hard, soft)

    def limits(self, job: Job) -> tuple[float | None, float | None]:
        """(hard, soft) seconds for this job."""
        hard, soft = job.message.headers.get("timelimit") or (None, None)
        return (
            hard or job.task.time_limit or self.hard,
            soft or job.task.soft_time_limit or self.soft,
        )


class _Limited(AbstractContextManager[None]):
    def __init__(self, limit: TimeLimit, hard: float | None, soft: float | None) -> None:
        self.limit = limit
        self.hard = hard
        self.soft = soft

    def __enter__(self) -> None:
        if self.hard:
            self.limit.slot.limit(time.monotonic() + self.hard, self.hard)
        if self.soft:
            self.limit.alarm.arm(self.soft, SoftTimeLimitExceeded(self.soft))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.limit.alarm.disarm()
        if self.hard:
            self.limit.slot.limit(0.0, 0.0)
