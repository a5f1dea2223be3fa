"""Turns exceptions into outcomes: Retry, Ignore, Reject, and ``autoretry_for``.

The message of the next run is not sent here: it travels with the settlement and is kept by the
broker in the same step in which this run's loan ends.
"""

from __future__ import annotations

from msgspec.structs import replace

from umbel import states
from umbel.app.retrying import retry_automatically
from umbel.exceptions import EncodeError, Ignore, Reject, Retry, TaskRevokedError, TaskTerminated
from umbel.message.protocol import encode
from umbel.message.representation import represent
from umbel.message.tracebacks import format_traceback, one_line
from umbel.worker.job import Job, Outcome
from umbel.worker.middleware.base import Middleware
from umbel.worker.returning import returns

__all__ = ["RetryOutcome"]


#: Seconds before a message that goes back after a failure may be taken again.
RETURNED_PAUSE = 0.1
#: Seconds before a message that its task refused with ``requeue=True`` may be taken again.
REJECTED_PAUSE = 0.1


class RetryOutcome(Middleware):
    """The first to see how a run ended. ``max_deliveries``: how often a message may be taken whose
    task wants it back when it fails."""

    def __init__(self, max_deliveries: int = 3) -> None:
        self.max_deliveries = max_deliveries

    def settle(self, job: Job, outcome: Outcome) -> Outcome:
        ended = self._classify(job, outcome)
        # A task that caught its own Retry has asked for the next run all the same, as with Celery.
        following = ended.next_message or job.context.next_message
        if following is not None:
            try:
                ended.next_message = replace(following, written=encode(following))
            except EncodeError as error:
                return self._failed(error)
        return ended

    def _classify(self, job: Job, outcome: Outcome) -> Outcome:
        error = outcome.error
        if outcome.state != states.FAILURE or error is None or outcome.reason:
            return outcome
        if isinstance(error, TaskTerminated):
            return Outcome(states.REVOKED, error=TaskRevokedError("terminated"))
        if isinstance(error, Ignore):
            return Outcome(states.IGNORED, error=error)
        if isinstance(error, Reject):
            rejected = Outcome(states.REJECTED, error=error)
            # Without a pause, a task that refuses for ever would keep a processor busy with it.
            rejected.delay = REJECTED_PAUSE if error.requeue else 0.0
            rejected.reason = f"Reject: {represent(error.reason, 200)}"
            return rejected
        if not isinstance(error, Retry):
            with job.task.requested(job.context):
                error = retry_automatically(job.task, error)
        return self._retried(error) if isinstance(error, Retry) else self._raised(job, error)

    def _raised(self, job: Job, error: BaseException) -> Outcome:
        again = job.message.deliveries + 1 < self.max_deliveries
        if again and not job.acknowledged and returns(job.task, error):
            return self._returned(error)
        return self._failed(error)

    def _returned(self, error: BaseException) -> Outcome:
        outcome = self._retried(Retry(exc=error, when=RETURNED_PAUSE))
        outcome.returns, outcome.delay = True, RETURNED_PAUSE
        return outcome

    def _retried(self, retry: Retry) -> Outcome:
        outcome = Outcome(states.RETRY, error=retry)
        outcome.next_message = retry.next_message
        outcome.traceback = format_traceback(retry.exc) if retry.exc is not None else None
        return outcome

    def _failed(self, error: BaseException) -> Outcome:
        outcome = Outcome(states.FAILURE, error=error)
        outcome.traceback = format_traceback(error)
        outcome.reason = f"{type(error).__name__}: {one_line(error)}"
        return outcome
