"""What a worker process does and tells when its supervisor says so: one method for each order.

Orders are carried out in the loop's thread, in its guardian's while a job runs, or (solo) in the
thread of remote control: so each does something that is done at once, and needs no lock that jobs
hold. What they return travels as JSON.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from umbel.exceptions import TaskTerminated
from umbel.worker.job import Job
from umbel.worker.line import Order
from umbel.worker.request import ReceivedRequest

if TYPE_CHECKING:
    from umbel.worker.process import WorkerProcess

__all__ = ["Orders"]

logger = logging.getLogger("umbel.worker")


class Orders:
    """The orders of one process, by their names."""

    def __init__(self, process: WorkerProcess) -> None:
        self._process = process

    def carry_out(self, order: Order) -> Any:
        """Its value; None where it failed, which is logged."""
        try:
            return getattr(self, order.name)(**order.arguments)
        except Exception:
            logger.exception("The order %r could not be carried out", order.name)
            return None

    # What it tells --------------------------------------------------------------------------------

    def active(self, safe: bool = False) -> list[dict[str, Any]]:
        """The jobs that run now, as Celery's requests."""
        return [self._described(job, safe=safe) for job in self._process.pool.running()]

    def reserved(self, safe: bool = False) -> list[dict[str, Any]]:
        """The jobs that wait for a slot in this process."""
        return [self._described(job, safe=safe) for job in self._process.pool.queued()]

    def find(self, ids: Collection[str]) -> dict[str, list[Any]]:
        """Of these tasks those that are here: id -> [``active`` or ``reserved``, request]."""
        pool = self._process.pool
        places = (("reserved", pool.queued()), ("active", pool.running()))
        return {
            job.message.id: [place, self._described(job, safe=False)]
            for place, jobs in places
            for job in jobs
            if job.message.id in ids
        }

    def totals(self) -> dict[str, int]:
        """How many messages of each task this process has taken."""
        return dict(self._process.reception.taken)

    # What it does ---------------------------------------------------------------------------------

    def interrupt(self, ids: Collection[str]) -> list[str]:
        """End these tasks where they run; in pools without a process for each. Those found."""
        process = self._process
        found = [job for job in process.pool.running() if job.message.id in ids]
        for job in found:
            process.interrupt(job, TaskTerminated())
        return [job.message.id for job in found]

    def consume(self, queues: list[str]) -> None:
        """Take messages of exactly these queues, as soon as what is held has ended."""
        self._process.loop.take_from(queues)

    def limit_time(self, task: str, hard: float | None, soft: float | None) -> None:
        """Let jobs of this task that begin from now on run so many seconds."""
        found = self._process.options.tasks.get(task)
        if found is not None:
            found.time_limit, found.soft_time_limit = hard, soft

    def tell_of_tasks(self, on: bool) -> None:
        """Send events of tasks from now on, or no more."""
        self._process.events.switch(on=on)

    def threads(self) -> int:
        """How many threads it has."""
        return threading.active_count()

    # ----------------------------------------------------------------------------------------------

    def _described(self, job: Job, *, safe: bool) -> dict[str, Any]:
        options = self._process.options
        request = ReceivedRequest(job.message, job.task, options.node, options.accept)
        request.acknowledged = job.acknowledged
        request.time_start = job.started_at or None
        request.worker_pid = os.getpid() if job.started_at else None
        return request.info(safe)
