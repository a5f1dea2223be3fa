"""Soft and hard time limits.

The soft limit raises ``SoftTimeLimitExceeded`` inside the task. The hard limit is a moment written
on the board that parent and children share: the supervisor ends a process that is past it.
Limits of the call (header ``timelimit``: hard first, then soft) win over the task's own.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType

from umbel import states
from umbel.exceptions import ImproperlyConfigured, SoftTimeLimitExceeded, TimeLimitExceeded
from umbel.worker.alarm import Alarm
from umbel.worker.job import Job, Outcome
from umbel.worker.middleware.base import Middleware

__all__ = ["HardTimeLimit", "SoftTimeLimit"]


IMPOSSIBLE = (
    "the hard time limit of {:g} s cannot be kept by this pool, which cannot end a job: use "
    "-P prefork, or soft_time_limit"
)


class HardTimeLimit(Middleware):
    """Outermost: handlers and storing count, too (not so waiting for an early acknowledgement, see
    ``EarlyAcknowledgement``). ``seconds``: for tasks that say nothing themselves; None: no limit."""

    def __init__(self, seconds: float | None, *, kept: bool = True) -> None:
        self.seconds = seconds
        #: The pool can end a job that is past its limit.
        self.kept = kept

    def admit(self, job: Job) -> Outcome | None:
        hard, _soft = job.message.headers.get("timelimit") or (None, None)
        seconds = hard or job.task.time_limit or self.seconds
        if not seconds:
            return None
        if not self.kept and job.task.is_coroutine:
            job.limits.append((seconds, TimeLimitExceeded(seconds)))
            return None
        if not self.kept:
            return Outcome(states.FAILURE, error=ImproperlyConfigured(IMPOSSIBLE.format(seconds)))
        # The place on the board is cleared when the job has left its slot.
        job.slot.limit(job.began + seconds, seconds)
        return None


class SoftTimeLimit(Middleware):
    """Innermost: only the function itself is interrupted. ``seconds`` as above."""

    def __init__(self, alarm: Alarm, seconds: float | None) -> None:
        self.alarm = alarm
        self.seconds = seconds

    def around(self, job: Job) -> AbstractContextManager[None] | None:
        _hard, soft = job.message.headers.get("timelimit") or (None, None)
        seconds = soft or job.task.soft_time_limit or self.seconds
        if not seconds:
            return None
        if job.task.is_coroutine:
            job.limits.append((seconds, SoftTimeLimitExceeded(seconds)))
            return None
        return _Limited(self.alarm, seconds)


class _Limited(AbstractContextManager[None]):
    def __init__(self, alarm: Alarm, seconds: float) -> None:
        self.alarm = alarm
        self.seconds = seconds

    def __enter__(self) -> None:
        self.alarm.arm(self.seconds, SoftTimeLimitExceeded(self.seconds))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.alarm.disarm()
