"""At-most-once for tasks with ``acks_late=False``: the loan ends before the function starts.

From then on the broker has no copy of the message. So when such a task fails, or its process dies,
its result says so, but nothing is kept among the dead letters that could be run again.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from umbel import states
from umbel.brokers.base import Delivery
from umbel.worker.job import Job, Outcome
from umbel.worker.middleware.base import Middleware

__all__ = ["EarlyAcknowledgement"]


class EarlyAcknowledgement(Middleware):
    """``acknowledge`` blocks until the broker has forgotten the message; False: it was taken back
    before (then somebody else runs it, and this job must not)."""

    def __init__(self, acknowledge: Callable[[Delivery], bool]) -> None:
        self.acknowledge = acknowledge

    def blocks(self, job: Job) -> bool:
        return not job.task.acks_late

    def admit(self, job: Job) -> Outcome | None:
        if job.task.acks_late:
            return None
        if not self._acknowledge_in_peace(job):
            return Outcome(states.IGNORED)
        job.acknowledged = True
        if not job.forgotten(failed=True):
            job.slot.acknowledge(job.message.id)
        return None

    def _acknowledge_in_peace(self, job: Job) -> bool:
        """A broker that is away is waited for; that time is not the task's, which has a limit."""
        moment, seconds = job.slot.hard_limit
        if not seconds:
            return self.acknowledge(job.delivery)
        job.slot.limit(0.0, 0.0)
        began = time.monotonic()
        accepted = self.acknowledge(job.delivery)
        job.slot.limit(moment + time.monotonic() - began, seconds)
        return accepted
