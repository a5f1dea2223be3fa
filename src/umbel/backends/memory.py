"""``memory://``: results kept in this process. For tests, and for a worker inside the program.

Values go through the result serializer, so that what a real store could not keep fails here too.
A memory broker of the same name stores results in one step with its settlements.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from umbel.backends.base import ResultBackend
from umbel.clock import SYSTEM, Clock
from umbel.drivers.memory import memory
from umbel.drivers.url import hide_password
from umbel.exceptions import ImproperlyConfigured
from umbel.message import serializers
from umbel.message.record import ResultRecord
from umbel.states import READY_STATES

if TYPE_CHECKING:
    import asyncio

__all__ = ["MemoryBackend"]

#: Fields that are the user's data, or say how the record is kept; the rest is kept as it is.
_ENCODED = ("result", "children", "args", "kwargs")


class _Row(msgspec.Struct, eq=False):
    """One record as it is kept."""

    #: The record without what the serializer has to carry.
    record: ResultRecord
    content_type: str
    content_encoding: str
    data: bytes
    #: Seconds since the epoch; None: never.
    expires: float | None


class _Waiter:
    """Somebody who waits for a record, and the record once it is there."""

    __slots__ = ("row", "woken")

    def __init__(self) -> None:
        self.woken = threading.Event()
        self.row: _Row | None = None

    def wake(self, row: _Row) -> None:
        self.row = row
        self.woken.set()


class _AsyncWaiter(_Waiter):
    """A task of an event loop; nobody waits for it any more when the loop is closed."""

    __slots__ = ("_loop", "_woken")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._loop = loop
        self._woken: asyncio.Future[None] = loop.create_future()

    def wake(self, row: _Row) -> None:
        self.row = row
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._end)

    async def wait(self) -> None:
        await self._woken

    def _end(self) -> None:
        if not self._woken.done():
            self._woken.set_result(None)


class _Rows:
    """The records of one store, and who waits for which."""

    lock: threading.Lock
    rows: dict[str, _Row]
    waiting: dict[str, set[_Waiter]]

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.lock = threading.Lock()
        self.rows = {}
        self.waiting = {}

    def find(self, task_id: str, now: float) -> _Row | None:
        """The row, if it has not expired. The caller holds the lock."""
        row = self.rows.get(task_id)
        if row is not None and row.expires is not None and row.expires <= now:
            del self.rows[task_id]
            return None
        return row


class MemoryBackend(ResultBackend):
    """Backends of one name share one store; see ``umbel.drivers.memory`` for how to empty it."""

    def __init__(
        self,
        url: str = "memory://",
        *,
        options: Mapping[str, Any] | None = None,
        serializer: str = "json",
        accept: Collection[str] = ("json",),
        clock: Clock = SYSTEM,
    ) -> None:
        if options:
            raise ImproperlyConfigured(f"memory:// has no options; got {', '.join(options)}")
        self.display_url = hide_password(url)
        self.memory = memory(url)
        self.clock = clock
        self._serializer = serializers.find(serializer).name
        self._accept = serializers.accepted_types(accept)
        self._rows = self.memory.part(_Rows)

    def store_many(self, records: Sequence[ResultRecord]) -> None:
        rows = [self._row(record) for record in records]
        with self._rows.lock:
            for row in rows:
                self._keep(row)

    def _row(self, record: ResultRecord) -> _Row:
        fields = _ENCODED if record.extended else _ENCODED[:2]
        values = {field: getattr(record, field) for field in fields}
        where = f"the record of task {record.task_id}"
        content_type, encoding, data = serializers.encode(values, self._serializer, where)
        bare = msgspec.structs.replace(record, result=None, children=[], args=None, kwargs=None)
        expires = None if record.ttl is None else self.clock.now() + record.ttl
        return _Row(bare, content_type, encoding, data, expires)

    def _keep(self, row: _Row) -> None:
        task_id, ready = row.record.task_id, row.record.status in READY_STATES
        before = self._rows.find(task_id, self.clock.now())
        if before is not None and before.record.status in READY_STATES and not ready:
            return
        self._rows.rows[task_id] = row
        if ready:
            for waiter in self._rows.waiting.get(task_id, ()):
                waiter.wake(row)

    def load(self, task_id: str) -> ResultRecord | None:
        with self._rows.lock:
            row = self._rows.find(task_id, self.clock.now())
        return None if row is None else self._record(row)

    def _record(self, row: _Row) -> ResultRecord:
        kind = row.content_type, row.content_encoding
        return msgspec.structs.replace(
            row.record, **serializers.decode(row.data, *kind, self._accept)
        )

    def wait(self, task_id: str, timeout: float | None) -> ResultRecord | None:
        waiter = _Waiter()
        self._join(task_id, waiter)
        try:
            waiter.woken.wait(timeout)
        finally:
            self._leave(task_id, waiter)
        return None if waiter.row is None else self._record(waiter.row)

    async def wait_async(self, task_id: str, timeout: float | None) -> ResultRecord | None:
        import asyncio

        waiter = _AsyncWaiter(asyncio.get_running_loop())
        self._join(task_id, waiter)
        try:
            async with asyncio.timeout(timeout):
                await waiter.wait()
        except TimeoutError:
            pass
        finally:
            self._leave(task_id, waiter)
        return None if waiter.row is None else self._record(waiter.row)

    def _join(self, task_id: str, waiter: _Waiter) -> None:
        with self._rows.lock:
            row = self._rows.find(task_id, self.clock.now())
            if row is not None and row.record.status in READY_STATES:
                waiter.wake(row)
            else:
                self._rows.waiting.setdefault(task_id, set()).add(waiter)

    def _leave(self, task_id: str, waiter: _Waiter) -> None:
        with self._rows.lock:
            waiting = self._rows.waiting.get(task_id, set())
            waiting.discard(waiter)
            if not waiting:
                self._rows.waiting.pop(task_id, None)

    def forget(self, task_id: str) -> None:
        with self._rows.lock:
            self._rows.rows.pop(task_id, None)

    def prune(self) -> int:
        now = self.clock.now()
        with self._rows.lock:
            expired = [
                task_id for task_id in list(self._rows.rows) if not self._rows.find(task_id, now)
            ]
        return len(expired)

    def close(self) -> None:
        """There is no connection; the store stays."""
