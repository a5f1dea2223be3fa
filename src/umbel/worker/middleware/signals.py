"""Tells of a run by signals: task_prerun, task_postrun, task_success, and what else it came to.

Part of the pipeline only where somebody is connected when a process starts, so receivers have to be
connected by then: in a module that the worker imports, or in ``worker_process_init``.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType

from umbel import states
from umbel.app.announcing import began, ended, failed, over, published
from umbel.exceptions import DecodeError, InvalidTaskError
from umbel.signals import (
    after_task_publish,
    task_failure,
    task_postrun,
    task_prerun,
    task_rejected,
    task_retry,
    task_revoked,
    task_sent,
    task_success,
)
from umbel.worker.job import Job, Outcome
from umbel.worker.middleware.base import Middleware

__all__ = ["Signals", "signals"]

_TOLD_HERE = (
    after_task_publish,
    task_failure,
    task_postrun,
    task_prerun,
    task_rejected,
    task_retry,
    task_revoked,
    task_sent,
    task_success,
)


def signals() -> list[Middleware]:
    """The middleware, where anybody wants to know."""
    return [Signals()] if any(signal.receivers for signal in _TOLD_HERE) else []


class Signals(Middleware):
    """Stands between the request and the handlers of the task, which are told first."""

    def __init__(self) -> None:
        #: Jobs whose function was to be called, by identity: only these have a ``task_postrun``.
        self._running: set[int] = set()

    def around(self, job: Job) -> AbstractContextManager[None] | None:
        self._running.add(id(job))
        return _Before(job) if task_prerun.receivers else None

    def settle(self, job: Job, outcome: Outcome) -> Outcome:
        ran = id(job) in self._running
        self._running.discard(id(job))
        value = outcome.value if outcome.error is None else outcome.error
        with job.task.requested(job.context):
            if ran:
                ended(job.task, job.context, outcome.state, value, job.runtime)
            else:
                _turn_away(job, outcome)
            if outcome.next_message is not None and _sent():
                published((outcome.next_message,))
            if outcome.following and _sent():
                published(outcome.following)
            if ran and task_postrun.receivers:
                over(job.task, job.context, outcome.state, value)
        return outcome


def _turn_away(job: Job, outcome: Outcome) -> None:
    """It was not let in."""
    error = outcome.error
    if outcome.state == states.REVOKED:
        expired, terminated = str(error) == "expired", str(error) == "terminated"
        task_revoked.send(
            sender=job.task,
            request=job.context,
            terminated=terminated,
            signum=None,
            expired=expired,
        )
    elif isinstance(error, (DecodeError, InvalidTaskError)):
        task_rejected.send(sender=job.task, message=job.message, exc=error)
    if outcome.state == states.FAILURE and error is not None and task_failure.receivers:
        failed(job.task, job.context, error)


def _sent() -> bool:
    return bool(after_task_publish.receivers or task_sent.receivers)


class _Before(AbstractContextManager[None]):
    def __init__(self, job: Job) -> None:
        self.job = job

    def __enter__(self) -> None:
        began(self.job.task, self.job.context)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None
