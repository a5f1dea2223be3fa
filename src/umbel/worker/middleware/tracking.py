"""Stores STARTED when a job begins, for tasks with ``track_started``."""

from __future__ import annotations

import logging
import os

from umbel import states
from umbel.brokers.base import RecordStore
from umbel.exceptions import OperationalError
from umbel.message.record import ResultRecord
from umbel.worker.job import Job, Outcome
from umbel.worker.middleware.base import Middleware

__all__ = ["Tracking"]

logger = logging.getLogger("umbel.worker")


class Tracking(Middleware):
    """The record says which process works on it, as Celery's does."""

    def __init__(self, records: RecordStore, node: str, ttl: float | None) -> None:
        self.records = records
        self.node = node
        self.ttl = ttl

    def blocks(self, job: Job) -> bool:
        return bool(job.task.track_started) and not job.forgotten(failed=False)

    def admit(self, job: Job) -> Outcome | None:
        if job.task.track_started and not job.forgotten(failed=False):
            try:
                self.records.store_many([self._record(job)])
            except OperationalError as error:
                # Nice to know, not worth a run: the result itself is kept until it can be stored.
                logger.warning("Could not store that %s has started: %s", job.message.id, error)
        return None

    def _record(self, job: Job) -> ResultRecord:
        return ResultRecord(
            task_id=job.message.id,
            status=states.STARTED,
            result={"pid": os.getpid(), "hostname": self.node},
            name=job.message.task,
            worker=self.node,
            started_at=job.started_at,
            ttl=self.ttl,
        )
