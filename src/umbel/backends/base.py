"""Where outcomes are remembered, so that whoever asked for them can have them later.

A backend stores records and wakes waiters; it knows nothing of tasks, retries or workflows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from umbel.message.record import ResultRecord

__all__ = ["ResultBackend"]


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

    @abstractmethod
    def forget(self, task_id: str) -> None:
        """Delete the record; forgetting what is not there is harmless."""

    @abstractmethod
    def prune(self) -> int:
        """Delete expired records where the store does not do it by itself; how many."""

    @abstractmethod
    def close(self) -> None:
        """Close connections; the backend may be used again."""
