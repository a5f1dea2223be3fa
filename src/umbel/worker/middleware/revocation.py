"""Drops messages of tasks that were revoked while they waited: they end as REVOKED."""

from __future__ import annotations

from umbel import states
from umbel.exceptions import OperationalError, Reject, TaskRevokedError
from umbel.worker.job import Job, Outcome
from umbel.worker.middleware.base import Middleware
from umbel.worker.revoked import Revoked

__all__ = ["Revocation"]


class Revocation(Middleware):
    """Checked when the job would start; takes part from the first revocation on."""

    def __init__(self, revoked: Revoked) -> None:
        self.revoked = revoked

    def admit(self, job: Job) -> Outcome | None:
        try:
            if not self.revoked.holds(job.message.id, job.message.headers.get("stamps")):
                return None
        except OperationalError as error:  # it goes back, and is asked about when it comes again
            return Outcome(states.REJECTED, error=Reject(str(error), requeue=True))
        return Outcome(states.REVOKED, error=TaskRevokedError("revoked"))
