"""Where user code runs: the seam between the consumer's loop and the slots."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable

from umbel.brokers.base import Settlement
from umbel.worker.board import Place, Slot
from umbel.worker.execution import Pipeline
from umbel.worker.job import Job

__all__ = ["Pool"]


class Pool(ABC):
    """Runs jobs in one process. ``submit``, ``run_next`` and ``stop`` belong to the loop's thread;
    ``withdraw`` may be called by its guardian, too."""

    #: How many jobs run at once.
    slots: int
    pipeline: Pipeline
    place: Place

    @abstractmethod
    def start(self, done: Callable[[Job, Settlement], None]) -> None:
        """``done`` is called exactly once for each submitted job that is not withdrawn, in the
        thread that ran it."""

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Run it as soon as a slot is free, in the order of submission."""

    def waiting(self) -> int:
        """How many submitted jobs have not begun, in pools without threads of their own."""
        return 0

    def run_next(self) -> bool:
        """Pools without threads of their own run one waiting job now; False: none waits."""
        return False

    @abstractmethod
    def withdraw(self) -> list[Job]:
        """Take back every job that has not begun; they will not run here."""

    @abstractmethod
    def longest(self) -> float:
        """Seconds for which the longest running job has been running; 0 when none runs."""

    def work_on(self, job: Job, slot: Slot) -> Settlement:
        """Run the job in this slot, on the board from its beginning to its end."""
        self._take(job, slot)
        settlement = self.pipeline.execute(job)
        slot.end()
        return settlement

    def _take(self, job: Job, slot: Slot) -> None:
        job.slot = slot
        self.place.work()
        slot.job = job
        slot.begin(job.delivery.loan, job.message.id, time.monotonic())

    def running(self) -> list[Job]:
        """The jobs that run now. In any thread."""
        return [job for slot in self.place.slots if (job := slot.job) is not None]

    @abstractmethod
    def queued(self) -> list[Job]:
        """The submitted jobs that have not begun, in the order in which they will. In any thread."""

    def run(self) -> None:  # noqa: B027 - most need none
        """Pools that need the process's main thread live in it here, until stopped."""

    @abstractmethod
    def stop(self) -> None:
        """Run nothing more after what runs now. Stopping twice is harmless."""
