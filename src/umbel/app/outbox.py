"""Sending from inside an event loop: what a call would send is collected, and sent without blocking.

While an outbox is open, the publisher puts messages there instead of giving them to the broker. So
``adelay`` is ``delay``, with all that a subclass or the settings make of it, and only the wait for
the broker differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, Unpack, cast

from umbel.app.announcing import published
from umbel.brokers.base import Broker
from umbel.message.message import Message
from umbel.result.async_result import AsyncResult
from umbel.signals import after_task_publish, task_sent

if TYPE_CHECKING:
    from umbel.app.app import Umbel
    from umbel.app.events import SentEvents
    from umbel.app.options import CallOptions
    from umbel.app.task import Task

__all__ = [
    "AsyncCalls",
    "AsyncSending",
    "Outbox",
    "collecting",
    "open_outbox",
    "send_without_blocking",
]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

#: So many calls are made at once; between them the loop goes on.
_CHUNK = 1000


class Outbox:
    """Messages that are still to be sent, with the broker and the time that they have."""

    def __init__(self) -> None:
        self._kept: list[tuple[Broker, Sequence[Message], float, SentEvents | None]] = []

    def put(
        self,
        broker: Broker,
        messages: Sequence[Message],
        timeout: float,
        events: SentEvents | None = None,
    ) -> None:
        """Keep them."""
        self._kept.append((broker, messages, timeout, events))

    def take(self) -> list[Message]:
        """All of them, for whoever sends them in another way; monitors are told now."""
        kept, self._kept = self._kept, []
        for _, messages, _, events in kept:
            if events is not None:
                events.tell(messages)
        return [message for _, messages, _, _ in kept for message in messages]

    async def send(self) -> None:
        """Give them to their brokers."""
        for broker, messages, timeout, events in self._kept:
            await broker.publish_async(messages, timeout)
            if after_task_publish.receivers or task_sent.receivers:
                published(messages)
            if events is not None:
                await events.tell_async(messages)


_outbox: ContextVar[Outbox | None] = ContextVar("umbel_outbox", default=None)

#: The outbox that is open here, or None: asked for every message, so without a frame of its own.
open_outbox = _outbox.get


@contextmanager
def collecting(outbox: Outbox) -> Iterator[None]:
    """What would be sent in this block is put there."""
    token = _outbox.set(outbox)
    try:
        yield
    finally:
        _outbox.reset(token)


async def send_without_blocking(call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """What ``call`` returns, after all that it sends has been sent."""
    outbox = Outbox()
    token = _outbox.set(outbox)
    try:
        result = call(*args, **kwargs)
    finally:
        _outbox.reset(token)
    await outbox.send()
    return result


class AsyncCalls(Generic[P, R]):
    """What tasks offer to callers inside an event loop."""

    async def adelay(self, /, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """``delay`` inside an event loop: ``result = await add.adelay(2, 3)``."""
        return await self.aapply_async(args, kwargs)

    async def aapply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Any = None,
        task_id: str | None = None,
        *,
        link: Any = None,
        link_error: Any = None,
        shadow: str | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncResult[R]:
        """``apply_async`` inside an event loop: the loop goes on until the broker has taken it.
        With ``task_always_eager`` it is run first, and the loop waits."""
        task = cast("Task[P, R]", self)
        more = {"link": link, "link_error": link_error, "shadow": shadow}
        said: dict[str, Any] = {name: value for name, value in more.items() if value is not None}
        return await send_without_blocking(
            task.apply_async, args, kwargs, task_id, **options, **said
        )

    async def adelay_many(self, calls: Iterable[Sequence[Any]]) -> list[AsyncResult[R]]:
        """``delay_many`` inside an event loop: ``await add.adelay_many([(1, 1), (2, 2)])``."""
        return await self.aapply_async_many((args, {}) for args in calls)

    async def aapply_async_many(
        self,
        calls: Iterable[tuple[Sequence[Any], Mapping[str, Any]]],
        *,
        link: Any = None,
        link_error: Any = None,
        **options: Unpack[CallOptions],
    ) -> list[AsyncResult[R]]:
        """``apply_async_many`` inside an event loop. Who is cancelled, or told that the broker is
        away, does not know how many of them were sent."""
        task = cast("Task[P, R]", self)
        waiting = iter(calls)
        results: list[AsyncResult[R]] = []
        while chunk := list(islice(waiting, _CHUNK)):
            results += await send_without_blocking(
                task.apply_async_many, chunk, link=link, link_error=link_error, **options
            )
        return results


class AsyncSending:
    """What an app offers to callers inside an event loop."""

    async def asend_task(
        self, name: str, args: Any = None, kwargs: Any = None, **options: Any
    ) -> AsyncResult[Any]:
        """``send_task`` inside an event loop, which goes on until the broker has taken it."""
        app = cast("Umbel", self)
        return await send_without_blocking(app.send_task, name, args, kwargs, **options)
