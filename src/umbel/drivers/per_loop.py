"""Something for each event loop: a connection belongs to the loop that it was opened in.

Loops of several threads each have their own. What belonged to a loop that has been closed is dropped
when the next loop comes; what a forked child inherited belongs to its parent's loops, and is neither
used nor closed there.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

__all__ = ["PerLoop"]


class Closable(Protocol):
    def close(self) -> None:
        """Called in the thread of its loop."""


T = TypeVar("T", bound=Closable)


class PerLoop(Generic[T]):
    """Safe to share between threads. ``make`` is called inside the loop."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: dict[asyncio.AbstractEventLoop, T] = {}
        self._inherited: list[object] = []
        self._pid = os.getpid()

    def mine(self) -> T:
        """What belongs to the loop that runs here; made when it is first asked for."""
        if self._pid != os.getpid():
            self._begin_anew()
        loop = asyncio.get_running_loop()
        found = self._made.get(loop)
        if found is None:
            found = self._make()  # each thread has one loop: nobody else makes the same
            with self._lock:
                self._made = {one: made for one, made in self._made.items() if not one.is_closed()}
                self._made[loop] = found
        return found

    def close(self) -> None:
        """Close all of them, each in its loop; new ones are made when they are asked for."""
        if self._pid != os.getpid():
            self._begin_anew()
        with self._lock:
            made, self._made = self._made, {}
        here = running_loop()
        for loop, one in made.items():
            if loop is here:
                one.close()
            else:
                with suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(one.close)

    def _begin_anew(self) -> None:
        # Kept, because whatever is freed closes what the parent still uses (its selector, say).
        self._inherited.append(self._made)
        self._made = {}
        self._lock = threading.Lock()
        self._pid = os.getpid()


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop that runs in this thread, if there is one."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
