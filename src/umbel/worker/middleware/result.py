"""Says what is to be remembered of a job. Storing it is part of the settlement.

The return value is encoded here, beside the user's code: a value that cannot be serialized makes
the job fail with an error that names it, instead of stopping the worker. So this comes before the
handlers, which are told how the job ended.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from umbel import states
from umbel.exceptions import EncodeError, Reject, Retry
from umbel.message.failure import describe
from umbel.message.record import ResultRecord
from umbel.message.serializers import prepare
from umbel.message.tracebacks import format_traceback, one_line
from umbel.worker.job import Job, Outcome
from umbel.worker.middleware.base import Middleware

__all__ = ["Remember"]


class Remember(Middleware):
    """``ttl``: seconds to keep a result; ``extended``: keep name, arguments and worker with it."""

    def __init__(
        self,
        *,
        node: str,
        serializer: str = "json",
        ttl: float | None = 86400.0,
        extended: bool = False,
    ) -> None:
        self.node = node
        self.serializer = serializer
        self.ttl = ttl
        self.extended = extended

    def settle(self, job: Job, outcome: Outcome) -> Outcome:
        if outcome.state == states.IGNORED:
            return outcome
        if outcome.state == states.REJECTED:
            return self._refused(job, outcome)
        if job.forgotten(failed=outcome.state != states.SUCCESS):
            return outcome
        try:
            value = self._value(outcome)
        except EncodeError as error:
            outcome = _failed(outcome, error)
            value = describe(error)
        outcome.record = self._record(job, outcome, value)
        return outcome

    def _refused(self, job: Job, outcome: Outcome) -> Outcome:
        """Where the task wants its message never to run again, nothing else ends the wait."""
        error = outcome.error
        if isinstance(error, Reject) and not error.requeue and not job.forgotten(failed=True):
            record = self._record(job, outcome, describe(error))
            outcome.record = replace(
                record, status=states.FAILURE, date_done=datetime.now(UTC).isoformat()
            )
        return outcome

    def _value(self, outcome: Outcome) -> Any:
        if outcome.state == states.SUCCESS:
            return prepare(outcome.value, self.serializer)
        error = outcome.error
        if isinstance(error, Retry) and error.exc is not None:
            error = error.exc
        return describe(error) if error is not None else None

    def _record(self, job: Job, outcome: Outcome, value: Any) -> ResultRecord:
        headers = job.message.headers
        ready = outcome.state in states.READY_STATES
        return ResultRecord(
            task_id=headers["id"],
            status=outcome.state,
            result=value,
            traceback=outcome.traceback,
            children=[child.as_tuple() for child in job.context.children or ()],
            date_done=datetime.now(UTC).isoformat() if ready else None,
            group_id=headers.get("group"),
            parent_id=headers.get("parent_id"),
            extended=self.extended,
            name=headers["task"],
            args=headers.get("argsrepr"),
            kwargs=headers.get("kwargsrepr"),
            worker=self.node,
            retries=headers.get("retries"),
            queue=job.delivery.queue,
            started_at=job.started_at,
            ttl=self.ttl,
        )


def _failed(outcome: Outcome, error: EncodeError) -> Outcome:
    failed = Outcome(states.FAILURE, error=error)
    failed.traceback = format_traceback(error)
    failed.reason = f"EncodeError: {one_line(error)}"
    # A task that caught its own Retry has asked for the next run, whatever became of this one.
    failed.next_message = outcome.next_message
    return failed
