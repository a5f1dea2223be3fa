"""One slot, the process's main thread: what ``prefork`` children use.

The consumer's loop runs in another thread, so that heartbeats and settlements go on while user
code runs; user code gets the main thread, where signals arrive and libraries expect to be.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

from umbel.brokers.base import Settlement
from umbel.worker.board import Slot
from umbel.worker.execution import Pipeline
from umbel.worker.job import Job
from umbel.worker.pools.base import Pool

__all__ = ["MainThreadPool"]


class MainThreadPool(Pool):
    """``run`` is the main thread's life."""

    slots = 1

    def __init__(self, pipeline: Pipeline, slot: Slot) -> None:
        self.pipeline = pipeline
        self.slot = slot
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._done: Callable[[Job, Settlement], None]

    def start(self, done: Callable[[Job, Settlement], None]) -> None:
        self._done = done

    def run(self) -> None:
        """Run jobs until stopped."""
        take, execute, slot, pid = self._jobs.get, self.pipeline.execute, self.slot, os.getpid()
        while (job := take()) is not None:
            slot.begin(job.delivery.loan, time.monotonic())
            settlement = execute(job)
            if os.getpid() != pid:
                os._exit(0)  # the task forked, and this is the copy: the job is not its own
            slot.end()
            self._done(job, settlement)

    def submit(self, job: Job) -> None:
        self._jobs.put(job)

    def withdraw(self) -> list[Job]:
        jobs: list[Job] = []
        while True:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                return jobs
            if job is None:
                self._jobs.put(None)
                return jobs
            jobs.append(job)

    def stop(self) -> None:
        self._jobs.put(None)
