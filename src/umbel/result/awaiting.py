"""What ``AsyncResult`` answers inside an event loop: the questions that ask a server, awaited.

Each is the method without the ``a``; the loop goes on meanwhile. Once a final record is there, the
other questions (``result``, ``state``, ``traceback`` …) answer from it at once.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from umbel import states
from umbel.exceptions import TimeoutError  # noqa: A004 - Celery's name
from umbel.result.waiting import assert_will_not_block, check_timeout

if TYPE_CHECKING:
    from umbel.backends.base import ResultBackend
    from umbel.message.record import ResultRecord
    from umbel.result.async_result import AsyncResult

__all__ = ["Awaited"]

R = TypeVar("R")


class Awaited(Generic[R]):
    """The part of a result that is awaited, and what it needs of the rest."""

    id: str
    task_name: str | None
    _record: ResultRecord | None = None

    async def aget(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        *,
        disable_sync_subtasks: bool = True,
    ) -> R:
        """``get`` inside an event loop: ``value = await result.aget(timeout=5)``."""
        result = cast("AsyncResult[R]", self)
        if timeout is not None:
            check_timeout(timeout)
        if disable_sync_subtasks:
            assert_will_not_block()
        if result.ignored:
            return None  # type: ignore[return-value]  # there never is a value
        parent = result.parent
        if propagate and parent is not None and await parent.aready():
            parent.maybe_throw()
        if self._final() is None:
            self._record = await self._await(result.backend, timeout)
        result.maybe_throw(propagate)
        value: R = result.result
        return value

    async def astate(self) -> str:
        """``state``, inside an event loop."""
        record = self._final()
        if record is None:
            record = await cast("AsyncResult[R]", self).backend.load_async(self.id)
            if record is None:
                return states.PENDING
            if record.status in states.READY_STATES:
                self._record = record
        return record.status

    async def aready(self) -> bool:
        """``ready``, inside an event loop: it has ended, one way or another."""
        return await self.astate() in states.READY_STATES

    async def aforget(self) -> None:
        """``forget``, inside an event loop: delete what is stored about it."""
        result = cast("AsyncResult[R]", self)
        self._record = None
        if result.parent is not None:
            await result.parent.aforget()
        await result.backend.forget_async(self.id)

    async def _await(self, backend: ResultBackend, timeout: float | None) -> ResultRecord:
        deadline = None if timeout is None else monotonic() + timeout
        while True:
            left = None if deadline is None else max(deadline - monotonic(), 0.0)
            record = await backend.wait_async(self.id, left)
            if record is not None:
                return record
            if deadline is not None and monotonic() >= deadline:
                raise self._late(timeout, await self.astate())

    def _final(self) -> ResultRecord | None:
        record = self._record
        return record if record is not None and record.status in states.READY_STATES else None

    def _late(self, timeout: float | None, state: str) -> TimeoutError:
        return TimeoutError(
            f"The result of {self._described()} was not there after {timeout:g} seconds; "
            f"its state is {state}"
        )

    def _described(self) -> str:
        return f"task {self.task_name}[{self.id}]" if self.task_name else f"task {self.id}"
