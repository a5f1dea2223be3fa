"""What gevent does otherwise than threads. Imported where gevent is installed and has patched.

The coroutines of all ``async def`` tasks run on one event loop, in a greenlet of its own. asyncio
keeps in mind which loop runs in a thread of the system, and all greenlets share one: here it is kept
for each greenlet, or whatever else runs would seem to be inside of the loop.
"""

from __future__ import annotations

import asyncio
from asyncio.events import _get_running_loop, _set_running_loop
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any, NamedTuple
from weakref import WeakSet

import gevent
import greenlet
from gevent.event import Event

from umbel.coroutines import Runner
from umbel.worker.alarm import Alarm

__all__ = ["GreenletAlarm", "GreenletRunner", "watch_greenlets"]


def watch_greenlets() -> Callable[[], None]:
    """What a forked child has to call. Threads do not go with a fork, but greenlets do: those that
    begin from now on would do their work in the child as well."""
    begun: WeakSet[Any] = WeakSet()
    note = begun.add
    gevent.Greenlet.add_spawn_callback(note)

    def end() -> None:
        gevent.Greenlet.remove_spawn_callback(note)
        gevent.killall(list(begun), block=False)

    return end


class GreenletAlarm(Alarm):
    """gevent wakes a greenlet wherever it waits; one that computes is not interrupted."""

    def __init__(self) -> None:
        self._timeouts: dict[object, list[gevent.Timeout]] = {}
        self._tokens: dict[object, object] = {}

    def begin(self) -> object:
        here = gevent.getcurrent()
        token = self._tokens[here] = (here, object())
        return token

    def interrupt(self, token: object, error: BaseException) -> None:
        gevent.get_hub().loop.run_callback(self._throw, token, error)

    def _throw(self, token: object, error: BaseException) -> None:
        if isinstance(token, tuple) and self._tokens.get(token[0]) is token:
            token[0].throw(error)

    def arm(self, seconds: float, error: BaseException) -> None:
        timeouts = self._timeouts.setdefault(gevent.getcurrent(), [])
        timeouts.append(gevent.Timeout.start_new(seconds, error))

    def disarm(self) -> None:
        self._tokens.pop(gevent.getcurrent(), None)
        for timeout in self._timeouts.pop(gevent.getcurrent(), ()):
            timeout.close()


class _Insides:
    """Which greenlet is inside of which event loop, kept at every switch."""

    def __init__(self) -> None:
        self._waiting: dict[object, asyncio.AbstractEventLoop] = {}
        self._before = greenlet.settrace(self._on_switch)

    def _on_switch(self, event: Any, switch: tuple[Any, Any]) -> None:
        origin, target = switch
        loop = _get_running_loop()
        if loop is not None:
            self._waiting[origin] = loop
        _set_running_loop(self._waiting.pop(target, None))
        if self._before is not None:
            self._before(event, switch)

    def close(self) -> None:
        greenlet.settrace(self._before)


class GreenletRunner(Runner):
    """One event loop in a greenlet of its own, begun with the first coroutine."""

    def __init__(self) -> None:
        super().__init__()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._greenlet: gevent.Greenlet[..., Any] | None = None
        self._closing = False
        self._insides: _Insides | None = None

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        if self._loop is None:
            if not isinstance(getattr(greenlet.gettrace(), "__self__", None), _Insides):
                self._insides = _Insides()
            self._loop = asyncio.new_event_loop()
            self._greenlet = gevent.spawn(self._live, self._loop)
        ended = Event()
        begun: list[asyncio.Task[Any]] = []
        self._loop.call_soon_threadsafe(_begin, coroutine, copy_context(), begun, ended)
        ended.wait()
        result = begun[0].result()
        if type(result) is _Leaving:
            raise result.error
        return result

    def close(self) -> None:
        if self._loop is not None and self._greenlet is not None:
            self._closing = True
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._greenlet.join()
            self._loop.close()
        if self._insides is not None:
            self._insides.close()

    def _live(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._closing:
            loop.run_forever()  # again where a task has stopped it, which is not for a task to do


def _begin(
    coroutine: Coroutine[Any, Any, Any], context: Context, begun: list[Any], ended: Event
) -> None:
    task = asyncio.get_running_loop().create_task(_kept_inside(coroutine), context=context)
    begun.append(task)
    task.add_done_callback(lambda _task: ended.set())


class _Leaving(NamedTuple):
    error: BaseException


async def _kept_inside(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Its value. What means the whole program would end the loop, and so all other tasks on it."""
    try:
        return await coroutine
    except (SystemExit, KeyboardInterrupt) as error:
        return _Leaving(error)
