"""Makes ``task.request`` and ``current_task`` speak of the job while its function runs."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from umbel.worker.job import Job
from umbel.worker.middleware.base import Middleware

__all__ = ["CurrentTask"]


class CurrentTask(Middleware):
    """Surrounds the call with the task's request."""

    def around(self, job: Job) -> AbstractContextManager[Any]:
        return job.task.requested(job.context)
