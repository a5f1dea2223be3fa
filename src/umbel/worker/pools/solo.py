"""One slot in the consumer's own thread: a job runs where it was received.

The simplest pool, for debugging, tests and machines with one core. While a job runs nothing else
happens in this thread: heartbeats have their own.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from umbel.brokers.base import Settlement
from umbel.worker.board import Slot
from umbel.worker.execution import Pipeline
from umbel.worker.job import Job
from umbel.worker.pools.base import Pool

__all__ = ["SoloPool"]


class SoloPool(Pool):
    """Jobs wait until the loop runs them, one after the other (``run_next``)."""

    slots = 1

    def __init__(self, pipeline: Pipeline, slot: Slot) -> None:
        self.pipeline = pipeline
        self.slot = slot
        self._waiting: deque[Job] = deque()
        self._stopped = False
        self._done: Callable[[Job, Settlement], None]

    def start(self, done: Callable[[Job, Settlement], None]) -> None:
        self._done = done

    def submit(self, job: Job) -> None:
        self._waiting.append(job)

    def run_next(self) -> bool:
        """Run the job that has waited longest; False when none waits."""
        if self._stopped or not self._waiting:
            return False
        job = self._waiting.popleft()
        self.slot.begin(job.delivery.loan, time.monotonic())
        settlement = self.pipeline.execute(job)
        self.slot.end()
        self._done(job, settlement)
        return True

    def withdraw(self) -> list[Job]:
        jobs = list(self._waiting)
        self._waiting.clear()
        return jobs

    def stop(self) -> None:
        self._stopped = True
