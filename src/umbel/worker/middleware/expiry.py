"""Drops messages whose ``expires`` moment has passed: they end as REVOKED, as with Celery."""

from __future__ import annotations

import time

from umbel import states
from umbel.exceptions import TaskRevokedError
from umbel.message.protocol import parse_moment
from umbel.worker.job import Job, Outcome
from umbel.worker.middleware.base import Middleware

__all__ = ["Expiry"]


class Expiry(Middleware):
    """Checked when the job would start, not when its message was taken from the queue."""

    def admit(self, job: Job) -> Outcome | None:
        expires = job.message.headers.get("expires")
        if not expires or parse_moment(expires) > time.time():
            return None
        return Outcome(states.REVOKED, error=TaskRevokedError("expired"))
