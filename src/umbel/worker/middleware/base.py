"""The seam for features of a task: one duty, one file, one class.

A middleware takes part in one or more of the three steps of a job. All methods run in the slot
that works on the job; they may be called for several jobs at once where the pool has several slots.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from umbel.worker.job import Job, Outcome

__all__ = ["Middleware"]


class Middleware:
    """Takes part in the life of one job. Override only what you need; the rest costs nothing."""

    #: Whether its ``settle`` is only for jobs whose messages say what follows them.
    linked_only = False

    def admit(self, job: Job) -> Outcome | None:
        """Before the run, arguments loaded: an outcome stops the job, None lets it in."""
        raise NotImplementedError

    def blocks(self, job: Job) -> bool:
        """Whether ``admit`` waits for a server with this job: it gets a thread then where others
        would have to wait, too."""
        raise NotImplementedError

    def around(self, job: Job) -> AbstractContextManager[Any] | None:
        """What surrounds the call itself, or None where this job needs nothing. An exception
        raised on entering ends the job as if the task had raised it."""
        raise NotImplementedError

    def settle(self, job: Job, outcome: Outcome) -> Outcome:
        """After the run: look at the outcome, change it or return another. Also called for jobs
        that were not let in. Must not raise."""
        raise NotImplementedError
