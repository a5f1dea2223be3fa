"""A worker in a thread of the test's own process, for tests that want the real thing without another
process: real messages, the real loop, real results, on any broker, also ``memory://``.

It stands above ``umbel.worker``, whose parts it starts. It neither forks nor touches signals or the
set-up of logging, so there is no ``prefork`` here and no hard time limit that ends a process.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from umbel.app.deployment import worker_values
from umbel.events.emitter import Emitter
from umbel.worker.log import LogLines
from umbel.worker.options import WorkerOptions
from umbel.worker.worker import Worker

__all__ = ["RunningWorker", "start_worker"]

#: Seconds within which a worker takes messages, or never will.
START_TIMEOUT = 30.0

_numbers = itertools.count(1)


class RunningWorker:
    """A worker and the thread in which it runs."""

    def __init__(self, options: WorkerOptions) -> None:
        emitter = Emitter()
        LogLines(emitter).subscribe()
        self.worker = Worker(options, emitter)
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="umbel-worker", daemon=True)

    @property
    def hostname(self) -> str:
        """The node's name."""
        return self.worker.hostname

    def start(self) -> None:
        """Return when it takes messages; raise when it never will."""
        self._thread.start()
        until = time.monotonic() + START_TIMEOUT
        while not self.worker.ready():
            if not self._thread.is_alive():
                failure, self._failure = self._failure, None
                raise RuntimeError("The worker did not start; its log says why") from failure
            if time.monotonic() > until:
                raise RuntimeError(f"The worker was not ready within {START_TIMEOUT:g} s")
            time.sleep(0.002)

    def stop(self, timeout: float = 10.0) -> None:
        """Let it finish what runs, give back what has not begun, and end. Stopping twice is
        harmless. A ``RuntimeError`` says that it is not over after so many seconds."""
        line = self.worker.line
        if line is not None and self._thread.is_alive():
            line.drain()
        self._thread.join(timeout)
        if self._thread.is_alive():
            running = sum(bool(place.running) for place in self.worker.board.places)
            what = "a task still runs" if running else "it waits for the broker"
            raise RuntimeError(f"The worker did not stop within {timeout:g} s: {what}")
        if line is not None:
            line.close()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise RuntimeError("The worker ended by an error") from failure

    def _run(self) -> None:
        try:
            self.worker.run()
        except BaseException as error:  # noqa: BLE001 - raised again by ``stop``
            self._failure = error
        finally:
            self.worker.steward.stop()
            self.worker.broker.close()
            if self.worker.steward.records is not None:
                self.worker.steward.records.close()


@contextmanager
def start_worker(
    app: Any,
    concurrency: int = 1,
    pool: str = "solo",
    *,
    queues: Sequence[str] = (),
    hostname: str | None = None,
    shutdown_timeout: float = 10.0,
) -> Iterator[RunningWorker]:
    """Run a worker of this app for the length of a block; on entering it takes messages, on leaving
    what ran has ended. ``pool``: solo, threads, asyncio, or gevent where gevent has patched the
    process."""
    app.import_modules()
    values = worker_values(
        app,
        queues=queues,
        concurrency=concurrency,
        pool=pool,
        hostname=hostname or f"test{next(_numbers)}@%h",
    )
    values |= {"inside": True, "health_address": None, "retry_on_startup": False}
    running = RunningWorker(WorkerOptions(**values))
    try:
        running.start()
        yield running
    finally:
        running.stop(shutdown_timeout)
