"""Calls the handlers that a task class may override: before_start, on_success, on_retry, ….

``before_start`` runs as part of the task: what it raises ends the job. The others run after the
outcome is known and cannot change it; what they raise is logged.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from umbel import states
from umbel.app.task import Task
from umbel.exceptions import Retry, WorkerTerminate
from umbel.message.failure import ErrorInfo
from umbel.worker.job import Job, Outcome
from umbel.worker.middleware.base import Middleware

__all__ = ["Handlers"]

logger = logging.getLogger("umbel.worker")

_AFTER = {
    states.SUCCESS: "on_success",
    states.FAILURE: "on_failure",
    states.RETRY: "on_retry",
}


class Handlers(Middleware):
    """Asks once per task class which handlers it overrides; the others cost nothing."""

    def __init__(self) -> None:
        self._overridden: dict[type[Any], frozenset[str]] = {}

    def around(self, job: Job) -> AbstractContextManager[None] | None:
        return _Before(job) if "before_start" in self.overridden(job.task) else None

    def settle(self, job: Job, outcome: Outcome) -> Outcome:
        name = _AFTER.get(outcome.state)
        handlers = self.overridden(job.task)
        if name is None or not handlers:
            return outcome
        with job.task.requested(job.context):
            if name in handlers:
                self._call_after(job, outcome, name)
            # Celery does not call after_return for a retry either: the task has not returned.
            if "after_return" in handlers and outcome.state != states.RETRY:
                self._call_return(job, outcome)
        return outcome

    def overridden(self, task: Task[..., Any]) -> frozenset[str]:
        """The handlers that this task's class overrides."""
        kind = type(task)
        found = self._overridden.get(kind)
        if found is None:
            names = ("before_start", "after_return", *_AFTER.values())
            found = frozenset(name for name in names if task.overrides(name))
            self._overridden[kind] = found
        return found

    def _call_after(self, job: Job, outcome: Outcome, name: str) -> None:
        arguments = (job.message.id, job.args, job.kwargs)
        handler = getattr(job.task, name)
        try:
            error = outcome.error
            if error is None:
                handler(outcome.value, *arguments)
                return
            if isinstance(error, Retry) and error.exc is not None:
                error = error.exc
            handler(error, *arguments, ErrorInfo.of(error, outcome.traceback))
        except WorkerTerminate:
            raise
        except (Exception, SystemExit):
            logger.exception("%s of task %s raised", name, job.message.task)

    def _call_return(self, job: Job, outcome: Outcome) -> None:
        error = outcome.error
        information = None if error is None else ErrorInfo.of(error, outcome.traceback)
        value = outcome.value if error is None else error
        try:
            job.task.after_return(
                outcome.state, value, job.message.id, job.args, job.kwargs, information
            )
        except WorkerTerminate:
            raise
        except (Exception, SystemExit):
            logger.exception("after_return of task %s raised", job.message.task)


class _Before(AbstractContextManager[None]):
    def __init__(self, job: Job) -> None:
        self.job = job

    def __enter__(self) -> None:
        self.job.task.before_start(self.job.message.id, self.job.args, self.job.kwargs)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None
