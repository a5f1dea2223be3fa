"""Where outcomes are remembered, so that whoever asked for them can have them later.

A backend stores records and wakes waiters; it knows nothing of tasks, retries or workflows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from time import monotonic
from typing import Final

from umbel.message.record import ResultRecord

__all__ = ["ResultBackend"]

#: Seconds of one piece of a wait in a thread.
_PIECE: Final = 0.5


class ResultBackend(ABC):
    """Keeps result records. Safe to share between threads; connects on first use; after a fork
    the child opens its own connections by itself."""

    #: URL without password, for banners and logs.
    display_url: str

    @abstractmethod
    def store_many(self, records: Sequence[ResultRecord]) -> None:
        """Keep these records, each replacing the one before, and wake whoever waits for them.
        A record of a ready state is never replaced by one of an unready state. Raises
        ``OperationalError`` when the server is away; storing the same record again is harmless."""

    def store(self, record: ResultRecord) -> None:
        """``store_many`` for one."""
        self.store_many([record])

    @abstractmethod
    def load(self, task_id: str) -> ResultRecord | None:
        """The present record, or None when there is none (never stored, expired or forgotten)."""

    @abstractmethod
    def wait(self, task_id: str, timeout: float | None) -> ResultRecord | None:
        """Block until the record is of a ready state and return it; None when ``timeout`` seconds
        passed first (None: no limit). Pushed by the server where it can push; nothing stays behind
        on client or server when it returns."""

    # For callers inside an event loop. The defaults do it in one of a few threads.

    async def load_async(self, task_id: str) -> ResultRecord | None:
        """``load``."""
        from umbel.offload import offload

        return await offload(self.load, task_id)

    async def wait_async(self, task_id: str, timeout: float | None) -> ResultRecord | None:
        """``wait``. Who is cancelled leaves nothing behind. A backend that serves many of these at
        once serves them with few connections and threads."""
        from umbel.offload import offload

        deadline = None if timeout is None else monotonic() + timeout
        while True:  # in pieces, so that a thread does not wait long for somebody who has left
            left = _PIECE if deadline is None else deadline - monotonic()
            record = await offload(self.wait, task_id, max(min(left, _PIECE), 0.0))
            if record is not None or left <= 0:
                return record

    async def forget_async(self, task_id: str) -> None:
        """``forget``."""
        from umbel.offload import offload

        await offload(self.forget, task_id)

    @abstractmethod
    def forget(self, task_id: str) -> None:
        """Delete the record; forgetting what is not there is harmless."""

    @abstractmethod
    def prune(self) -> int:
        """Delete expired records where the store does not do it by itself; how many."""

    @abstractmethod
    def close(self) -> None:
        """Close connections; the backend may be used again."""
