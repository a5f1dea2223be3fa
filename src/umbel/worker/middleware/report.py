"""Says what happened to jobs, as events; log lines, metrics and signals subscribe to them."""

from __future__ import annotations

from umbel import states
from umbel.app.retrying import as_types
from umbel.events.emitter import Emitter
from umbel.events.types import (
    TaskFailed,
    TaskRejected,
    TaskRetried,
    TaskRevoked,
    TaskStarted,
    TaskSucceeded,
)
from umbel.exceptions import Reject
from umbel.message.representation import represent
from umbel.worker.job import Job, Outcome
from umbel.worker.middleware.base import Middleware

__all__ = ["Report"]


class Report(Middleware):
    """The last to see how a run ended. Events that nobody wants are not made."""

    def __init__(self, emitter: Emitter) -> None:
        self.emitter = emitter

    def around(self, job: Job) -> None:
        if self.emitter.wanted(TaskStarted):
            self.emitter.emit(
                TaskStarted(id=job.message.id, name=job.name, private=not job.task.send_events)
            )

    def settle(self, job: Job, outcome: Outcome) -> Outcome:
        state, emitter = outcome.state, self.emitter
        if state == states.SUCCESS:
            if emitter.wanted(TaskSucceeded):
                emitter.emit(
                    TaskSucceeded(
                        id=job.message.id,
                        name=job.name,
                        private=not job.task.send_events,
                        runtime=job.runtime,
                        result=represent(outcome.value, job.task.resultrepr_maxsize),
                    )
                )
        elif state == states.FAILURE:
            self._failed(job, outcome)
        elif state == states.RETRY:
            if outcome.next_message is not None:
                job.task.app.publisher.tell_of(outcome.next_message)
            cause = getattr(outcome.error, "exc", None)
            emitter.emit(
                TaskRetried(
                    id=job.message.id,
                    name=job.name,
                    private=not job.task.send_events,
                    reason=str(outcome.error),
                    error="" if cause is None else represent(cause),
                    traceback=outcome.traceback or "",
                )
            )
        elif state == states.REVOKED:
            reason = None if outcome.error is None else outcome.error.args[:1]
            emitter.emit(
                TaskRevoked(
                    id=job.message.id,
                    name=job.name,
                    private=not job.task.send_events,
                    expired=reason == ("expired",),
                    terminated=reason == ("terminated",),
                )
            )
        elif state == states.REJECTED and isinstance(outcome.error, Reject):
            emitter.emit(
                TaskRejected(
                    id=job.message.id,
                    name=job.name,
                    private=not job.task.send_events,
                    reason=represent(outcome.error.reason, 200),
                    requeued=outcome.error.requeue,
                )
            )
        return outcome

    def _failed(self, job: Job, outcome: Outcome) -> None:
        expected = as_types(job.task.throws)
        self.emitter.emit(
            TaskFailed(
                id=job.message.id,
                name=job.name,
                private=not job.task.send_events,
                error=represent(outcome.error),
                traceback=outcome.traceback or "",
                expected=isinstance(outcome.error, expected),
            )
        )
