"""Many slots on one asyncio event loop, in the process's main thread; ``-P asyncio``.

``async def`` tasks run beside each other on the loop; plain functions get a thread each, since one
that blocked would stop all the others. The consumer's loop has a thread of its own: also where a
coroutine blocks, what has ended is settled.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context

from umbel.brokers.base import Settlement
from umbel.worker.board import Place, Slot
from umbel.worker.execution import Pipeline
from umbel.worker.job import Job, Outcome
from umbel.worker.pools.base import Pool

__all__ = ["EventLoopPool"]


class EventLoopPool(Pool):
    """``run`` is the main thread's life; ``submit``, ``withdraw`` and ``stop`` come from the
    consumer's thread. Plain functions need nothing of the event loop, also to begin and to end."""

    def __init__(self, pipeline: Pipeline, place: Place) -> None:
        self.pipeline = pipeline
        self.place = place
        self.slots = len(place.slots)
        self._free = list(reversed(place.slots))
        self._waiting: deque[Job] = deque()
        #: Held while a job and a slot are brought together.
        self._lock = threading.Lock()
        #: When the running jobs began, the earliest first.
        self._began: dict[Slot, float] = {}
        self._working: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(self.slots, "umbel-slot")
        self._running = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._end: asyncio.Event
        #: What each coroutine gets a copy of, so that none sees what another one has set.
        self._context: Context
        self._done: Callable[[Job, Settlement], None]

    def start(self, done: Callable[[Job, Settlement], None]) -> None:
        self._done = done
        self._running.wait()

    def run(self) -> None:
        """Until stopped."""
        runner = asyncio.Runner()
        loop = runner.get_loop()
        life = loop.create_task(self._live())
        life.add_done_callback(lambda _life: loop.stop())
        while not life.done():
            loop.run_forever()  # again where a task has stopped it, which is not for a task to do
        life.result()
        # Not where a task has ended the loop itself: it would cancel the others, which would be told
        # as their failures. The process ends, and they run again.
        runner.close()

    def submit(self, job: Job) -> None:
        self._waiting.append(job)
        self._begin()

    def queued(self) -> list[Job]:
        return list(self._waiting.copy())

    def withdraw(self) -> list[Job]:
        with self._lock:
            jobs = list(self._waiting)
            self._waiting.clear()
        return jobs

    def longest(self) -> float:
        while True:
            try:
                return time.monotonic() - next(iter(self._began.values()))
            except StopIteration:
                return 0.0
            except RuntimeError:  # one began or ended meanwhile
                continue

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)

    async def _live(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self._context = copy_context()
        self._running.set()
        await self._end.wait()
        self._threads.shutdown(wait=False)

    def _begin(self) -> None:
        """Jobs that wait, in slots that are free. In any thread."""
        while True:
            with self._lock:
                if not (self._free and self._waiting):
                    return
                job, slot = self._waiting.popleft(), self._free.pop()
            self._began[slot] = time.monotonic()
            if job.task.is_coroutine:
                self._loop.call_soon_threadsafe(self._begin_coroutine, job, slot)
            else:
                self._threads.submit(self._work_in_thread, job, slot)

    def _work_in_thread(self, job: Job, slot: Slot) -> None:
        self._end_job(job, slot, self.work_on(job, slot))

    def _begin_coroutine(self, job: Job, slot: Slot) -> None:
        task = self._loop.create_task(self._work(job, slot), context=self._context.copy())
        self._working.add(task)  # the event loop itself would forget it
        task.add_done_callback(self._working.discard)

    async def _work(self, job: Job, slot: Slot) -> None:
        self._take(job, slot)
        settlement = await self.pipeline.execute_coroutine(job, self._in_thread)
        slot.end()
        self._end_job(job, slot, settlement)

    async def _in_thread(
        self, function: Callable[[Job], Outcome | None], job: Job
    ) -> Outcome | None:
        return await self._loop.run_in_executor(self._threads, function, job)

    def _end_job(self, job: Job, slot: Slot, settlement: Settlement) -> None:
        del self._began[slot]
        with self._lock:
            self._free.append(slot)
        self._done(job, settlement)
        self._begin()
