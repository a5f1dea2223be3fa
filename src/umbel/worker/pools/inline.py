"""One slot in the thread of the loop itself: ``prefork`` processes and ``solo``.

A job runs where it was received, in the process's main thread, where signals arrive and libraries
expect to be. What must go on while it runs is the guardian's work (``worker/guardian.py``).

With ``solo`` no other process sends the heartbeat. A job that keeps the interpreter to itself for
longer than the heartbeat limit (one long call into C that does not release it) is taken for dead:
its message may run twice. With ``prefork`` the supervisor goes on.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from umbel.brokers.base import Settlement
from umbel.worker.board import Place
from umbel.worker.execution import Pipeline
from umbel.worker.job import Job
from umbel.worker.pools.base import Pool

__all__ = ["InlinePool"]


class InlinePool(Pool):
    """Jobs wait until the loop runs them, one after the other (``run_next``)."""

    slots = 1

    def __init__(self, pipeline: Pipeline, place: Place) -> None:
        self.pipeline = pipeline
        self.place = place
        [self.slot] = place.slots
        self._waiting: deque[Job] = deque()
        self._stopped = False
        self._done: Callable[[Job, Settlement], None]

    def start(self, done: Callable[[Job, Settlement], None]) -> None:
        self._done = done

    def submit(self, job: Job) -> None:
        self._waiting.append(job)

    def waiting(self) -> int:
        return len(self._waiting)

    def run_next(self) -> bool:
        """Run the job that has waited longest; False when none waits."""
        if self._stopped:
            return False
        try:
            job = self._waiting.popleft()
        except IndexError:  # none was there, or it has just been withdrawn
            return False
        settlement = self.work_on(job, self.slot)
        self._done(job, settlement)
        return True

    def queued(self) -> list[Job]:
        return list(self._waiting.copy())

    def withdraw(self) -> list[Job]:
        jobs: list[Job] = []
        while self._waiting:
            try:
                jobs.append(self._waiting.popleft())
            except IndexError:  # its turn has just come
                break
        return jobs

    def stop(self) -> None:
        self._stopped = True
        self.pipeline.leave()

    def longest(self) -> float:
        started = self.slot.started
        return time.monotonic() - started if started else 0.0
