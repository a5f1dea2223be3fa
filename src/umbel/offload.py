"""What blocks, done in a few threads, while an event loop goes on.

For stores that have no asynchronous client. The threads are shared by all loops of the process, so
that a connection of each thread is one of few. A forked child has threads of its own.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

__all__ = ["offload"]

_THREADS: Final = 8

T = TypeVar("T")


class _Threads:
    """Those of this process."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="umbel-offload")


_threads = _Threads()
os.register_at_fork(after_in_child=_threads.restart)


async def offload(work: Callable[..., T], *arguments: Any) -> T:
    """The value of ``work(*arguments)``, which runs in a thread. Who is cancelled no longer waits
    for it; what has begun comes to its end."""
    return await asyncio.get_running_loop().run_in_executor(_threads.executor, work, *arguments)
