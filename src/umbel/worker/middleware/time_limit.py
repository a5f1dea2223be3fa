"""Soft and hard time limits.

The soft limit raises ``SoftTimeLimitExceeded`` inside the task. With ``prefork`` the hard limit is a
moment written on the board that parent and children share: the supervisor ends a process that is
past it. In pools with many jobs in a process that would end them all: there the hard limit raises
``TimeLimitExceeded`` inside the task, which may catch it, or not notice it in a call into C.
Limits of the call (header ``timelimit``: hard first, then soft) win over the task's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType

from umbel.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded
from umbel.leash import Leash
from umbel.worker.alarm import Alarm
from umbel.worker.job import Job
from umbel.worker.middleware.base import Middleware

__all__ = ["HardTimeLimit", "TimeLimits"]

#: Seconds. Who sets a limit above that (or one that is no number) sets none; no clock could keep it.
FOREVER = 1e9
#: After so many seconds, what is raised.
Limits = Sequence[tuple[float, BaseException]]


class HardTimeLimit(Middleware):
    """Outermost: handlers and storing count, too (not so waiting for an early acknowledgement, see
    ``EarlyAcknowledgement``). ``seconds``: for tasks that say nothing themselves; None: no limit."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds

    def admit(self, job: Job) -> None:
        seconds = hard_limit(job, self.seconds)
        if seconds:
            # The place on the board is cleared when the job has left its slot.
            job.slot.limit(job.began + seconds, seconds)


class TimeLimits(Middleware):
    """Innermost: only the function itself is interrupted. ``soft`` and ``hard`` are seconds for
    tasks that say nothing themselves; ``inside``: jobs can be ended from within only, so that hard
    limits and the wish to terminate a job are raised in it, too."""

    def __init__(
        self, alarm: Alarm, soft: float | None, hard: float | None, *, inside: bool
    ) -> None:
        self.alarm = alarm
        self.soft = soft
        self.hard = hard
        self.inside = inside

    def around(self, job: Job) -> AbstractContextManager[None] | None:
        _hard, soft = job.message.headers.get("timelimit") or (None, None)
        soft = soft or job.task.soft_time_limit or self.soft
        hard = hard_limit(job, self.hard) if self.inside else None
        if not (soft or hard or self.inside):
            return None
        limits: list[tuple[float, BaseException]] = []
        if soft and soft < FOREVER:
            limits.append((soft, SoftTimeLimitExceeded(soft)))
        if hard:
            limits.append((hard, TimeLimitExceeded(hard)))
        if job.task.is_coroutine:
            job.leash = Leash(limits)
            return None
        return _Limited(self.alarm, limits, job)


def hard_limit(job: Job, otherwise: float | None) -> float | None:
    """The hard limit of this job in seconds."""
    hard, _soft = job.message.headers.get("timelimit") or (None, None)
    seconds = hard or job.task.time_limit or otherwise
    return seconds if seconds and seconds < FOREVER else None


class _Limited(AbstractContextManager[None]):
    def __init__(self, alarm: Alarm, limits: Limits, job: Job) -> None:
        self.alarm = alarm
        self.limits = limits
        self.job = job

    def __enter__(self) -> None:
        self.job.token = self.alarm.begin()
        for seconds, error in self.limits:
            self.alarm.arm(seconds, error)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.alarm.disarm()
