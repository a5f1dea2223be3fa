"""Many slots, each a thread of the process: for tasks that mostly wait for something else.

The loop keeps the process's main thread and is woken by the threads. A thread cannot be ended from
outside: a hard time limit is refused here, and a soft one arrives between two bytecodes, not in the
middle of a call into C.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

from umbel.brokers.base import Settlement
from umbel.worker.board import Place, Slot
from umbel.worker.execution import Pipeline
from umbel.worker.job import Job
from umbel.worker.pools.base import Pool

__all__ = ["ThreadsPool"]


class ThreadsPool(Pool):
    """As many threads as the place has slots. Jobs begin in the order of submission."""

    def __init__(self, pipeline: Pipeline, place: Place) -> None:
        self.pipeline = pipeline
        self.place = place
        self.slots = len(place.slots)
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        #: The same, where one can look.
        self._queued: dict[Job, None] = {}
        #: When the running jobs began, the earliest first.
        self._began: dict[Slot, float] = {}
        self._threads: list[threading.Thread] = []
        self._done: Callable[[Job, Settlement], None]

    def start(self, done: Callable[[Job, Settlement], None]) -> None:
        self._done = done
        for number, slot in enumerate(self.place.slots, 1):
            name = f"umbel-slot-{number}"
            thread = threading.Thread(target=self._live, args=(slot,), name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def submit(self, job: Job) -> None:
        self._queued[job] = None
        self._jobs.put(job)

    def queued(self) -> list[Job]:
        return list(self._queued.copy())

    def withdraw(self) -> list[Job]:
        jobs: list[Job] = []
        while True:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                return jobs
            if job is None:  # the end of a thread
                self._jobs.put(None)
                return jobs
            self._queued.pop(job, None)
            jobs.append(job)

    def longest(self) -> float:
        while True:
            try:
                return time.monotonic() - next(iter(self._began.values()))
            except StopIteration:
                return 0.0
            except RuntimeError:  # one began or ended meanwhile
                continue

    def stop(self) -> None:
        threads, self._threads = self._threads, []
        for _ in threads:
            self._jobs.put(None)
        for thread in threads:
            thread.join()

    def _live(self, slot: Slot) -> None:
        while (job := self._jobs.get()) is not None:
            self._queued.pop(job, None)
            self._began[slot] = time.monotonic()
            settlement = self.work_on(job, slot)
            del self._began[slot]
            self._done(job, settlement)
        self.pipeline.leave()
