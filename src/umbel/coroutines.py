"""Running coroutines: in a loop of their own beside plain tasks, or many on one loop.

``Steered`` stands between a coroutine and the event loop, so that an error of our choice can be
raised where the coroutine waits: asyncio itself can only cancel.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from umbel.leash import Leash

__all__ = ["Runner", "Steered", "limited", "run_once"]


class Steered:
    """A coroutine that can be interrupted. Awaited once; ``interrupt`` belongs to its loop."""

    __slots__ = ("_coroutine", "_error", "_task")

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self._error: BaseException | None = None
        self._task: asyncio.Task[Any] | None = None

    def interrupt(self, error: BaseException) -> None:
        """Raise this where the coroutine waits now, or will wait next."""
        self._error = error
        if self._task is not None:
            self._task.cancel()

    def __await__(self) -> Generator[Any, Any, Any]:
        self._task = asyncio.current_task()
        value: Any = None
        error: BaseException | None = None
        try:
            while True:
                coroutine = self._coroutine
                waits_for = coroutine.send(value) if error is None else coroutine.throw(error)
                value = error = None
                try:
                    value = yield waits_for
                except asyncio.CancelledError as cancelled:
                    error = self._instead_of(cancelled)
                except BaseException as raised:  # noqa: BLE001 - it is the coroutine's to deal with
                    error = raised
        except StopIteration as end:
            return end.value
        finally:
            self._task = None

    def _instead_of(self, cancelled: BaseException) -> BaseException:
        if self._error is None:
            return cancelled
        error, self._error = self._error, None
        if self._task is not None:
            self._task.uncancel()
        return error


class Runner:
    """Runs coroutines from plain functions. Safe to share between threads."""

    def __init__(self) -> None:
        self._own = threading.local()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Its value, in the context of the caller. Each thread keeps its event loop for the next
        one; where one is running already, the coroutine gets a thread."""
        if _loop_runs():
            return _in_thread(coroutine)
        runner = getattr(self._own, "runner", None)
        if runner is None:
            runner = self._own.runner = asyncio.Runner()
        loop = runner.get_loop()
        task = loop.create_task(coroutine, context=copy_context())
        while True:
            try:
                return loop.run_until_complete(task)
            except RuntimeError:
                if task.done():
                    raise
                # It, or the one before, has stopped the event loop, which is not for it to do.

    def leave(self) -> None:
        """This thread runs nothing more: give its event loop back."""
        runner = self._own.__dict__.pop("runner", None)
        if runner is not None:
            runner.close()

    def close(self) -> None:
        """Nothing runs in any thread any more, and all of them have left."""


def run_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Its value; nothing is kept. Where an event loop is running already, it gets a thread."""
    return _in_thread(coroutine) if _loop_runs() else asyncio.run(coroutine)


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _in_thread(coroutine: Coroutine[Any, Any, Any]) -> Any:
    context = copy_context()
    with ThreadPoolExecutor(1, "umbel-coroutine") as thread:
        return thread.submit(context.run, asyncio.run, coroutine).result()


async def limited(coroutine: Coroutine[Any, Any, Any], leash: Leash | None) -> Any:
    """Await it, on the leash if there is one."""
    if leash is None:
        return await coroutine
    steered, loop = Steered(coroutine), asyncio.get_running_loop()
    timers = [loop.call_later(seconds, steered.interrupt, error) for seconds, error in leash.limits]
    leash.held = loop, steered
    try:
        return await steered
    finally:
        leash.held = None
        for timer in timers:
            timer.cancel()
