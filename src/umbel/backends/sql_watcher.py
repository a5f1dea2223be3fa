"""One thread that watches an SQL database for all the tasks of all event loops that wait for results.

It looks for all of them at once, after each commit, and ends when nobody has waited for a while.
A forked child begins with no waits and no thread.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, TypeAlias

from umbel.drivers.sql.base import SqlDriver, Watch
from umbel.exceptions import ConnectionLost
from umbel.message.record import ResultRecord
from umbel.waker import Waker

__all__ = ["Watcher"]

#: Seconds after which it looks by itself, and without anybody who waits ends.
_LOOK_AFTER: Final = 5.0
#: Records in one statement.
_AT_ONCE: Final = 500

#: Ids to those records of them that are of a ready state, or why one cannot be read.
Load: TypeAlias = Callable[[Sequence[str]], list[tuple[str, ResultRecord | Exception]]]


class _Wait:
    """One task of an event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[ResultRecord] = self._loop.create_future()

    def end(self, outcome: ResultRecord | Exception) -> None:
        """From the watcher's thread."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._end, outcome)

    def _end(self, outcome: ResultRecord | Exception) -> None:
        if self.done.done():
            return
        if isinstance(outcome, Exception):
            self.done.set_exception(outcome)
        else:
            self.done.set_result(outcome)


class Watcher:
    """Safe to share between threads and their loops."""

    _lock: threading.Lock
    _thread: threading.Thread | None
    _waits: dict[str, set[_Wait]]
    #: Ids that nobody has looked for yet.
    _new: list[str]
    _waker: Waker

    def __init__(self, driver: SqlDriver, topic: str, load: Load) -> None:
        self._driver = driver
        self._topic = topic
        self._load = load
        self._begin()

    async def wait(self, task_id: str, timeout: float | None) -> ResultRecord | None:
        """The record when it is of a ready state; None when the time is over."""
        if self._pid != os.getpid():
            self._begin()
        wait = _Wait()
        self._join(task_id, wait)
        try:
            async with asyncio.timeout(timeout):
                return await wait.done
        except TimeoutError:
            return None
        finally:
            self._leave(task_id, wait)

    def close(self) -> None:
        """End the thread; who still waits is told."""
        if self._pid != os.getpid():
            return
        with self._lock:
            thread, self._thread = self._thread, None
            waits, self._waits = self._waits, {}
            self._new = []
            self._waker.set()
        for wait in (one for some in waits.values() for one in some):
            wait.end(ConnectionLost(f"{self._driver.display_url} has been closed"))
        if thread is not None:
            thread.join()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._thread = None
        self._waits = {}
        self._new = []
        self._waker = Waker()

    def _join(self, task_id: str, wait: _Wait) -> None:
        with self._lock:
            self._waits.setdefault(task_id, set()).add(wait)
            if not self._new:
                self._waker.set()
            self._new.append(task_id)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._watch, name="umbel-results", daemon=True
                )
                self._thread.start()

    def _leave(self, task_id: str, wait: _Wait) -> None:
        with self._lock:
            waits = self._waits.get(task_id)
            if waits is not None:
                waits.discard(wait)
                if not waits:
                    del self._waits[task_id]

    # In the thread --------------------------------------------------------------------------------

    def _watch(self) -> None:
        try:
            watch = self._driver.watch(self._topic)
            try:
                while self._look(watch):
                    pass
            finally:
                watch.close()
        except Exception as error:  # noqa: BLE001 - told to everybody who waits
            with self._lock:
                if self._thread is threading.current_thread():
                    self._thread = None
                waits, self._waits = self._waits, {}
                self._new = []
            for wait in (one for some in waits.values() for one in some):
                wait.end(error)

    def _look(self, watch: Watch) -> bool:
        """Look for all of them once, and for those who came meanwhile, until something is committed;
        False: it is over."""
        watch.mark()
        with self._lock:
            if self._thread is not threading.current_thread():
                return False
            self._waker.clear()
            self._new = []
            wanted = list(self._waits)
        self._tell(wanted)
        watch.wait(_LOOK_AFTER, (self._waker.fd,))
        with self._lock:
            if self._thread is threading.current_thread() and not (self._waits or wanted):
                self._thread = None
        return True

    def _tell(self, wanted: Sequence[str]) -> None:
        for start in range(0, len(wanted), _AT_ONCE):
            for task_id, outcome in self._load(wanted[start : start + _AT_ONCE]):
                with self._lock:
                    waits = self._waits.pop(task_id, set())
                for wait in waits:
                    wait.end(outcome)
