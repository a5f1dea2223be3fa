"""What people ask of a broker: sizes, delayed and dead messages, purge, and where a task is.

None of this is on the path of a job. Every method is one short operation on the server, may be
called at any time beside running workers, and raises ``OperationalError`` when the server is away.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import msgspec

from umbel.message.message import Message

__all__ = ["ConsumerStatus", "DeadLetter", "Place", "QueueAdmin", "QueueStatus"]


class QueueStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One queue at one moment."""

    name: str
    #: Waiting to be lent now.
    ready: int
    #: Waiting for their moment.
    delayed: int
    #: Lent to consumers.
    lent: int
    #: Whether it was paused: nothing of it is lent.
    paused: bool = False


class ConsumerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One registered consumer at one moment."""

    id: str
    queues: tuple[str, ...]
    #: Seconds since its last heartbeat.
    silent_for: float
    #: How many messages it holds.
    lent: int


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One message that will not run again by itself."""

    #: Names this dead letter (the task id where there is one).
    id: str
    task: str | None
    queue: str
    reason: str
    #: Seconds since the epoch.
    died_at: float
    #: The bytes as they lay on the queue.
    raw: bytes


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a message is."""

    where: Literal["ready", "delayed", "lent", "parked", "dead"]
    queue: str
    message: Message | None
    #: For ``delayed``: when it comes due; for ``dead``: when it died.
    moment: float | None = None
    #: For ``lent``: the consumer; for ``dead``: the reason.
    detail: str = ""


class QueueAdmin(ABC):
    """Operations for people and tools on one broker."""

    @abstractmethod
    def queues(self, names: Sequence[str] = ()) -> list[QueueStatus]:
        """Status of these queues and of every queue that the broker knows or that is paused, by name."""

    @abstractmethod
    def pause(self, queue: str) -> None:
        """Lend nothing of this queue to anybody, whether ready or parked, until it is resumed; at
        once, for every consumer, also after restarts. It takes new messages, its delayed ones
        become ready, and what is lent already goes on. Pausing twice is harmless."""

    @abstractmethod
    def resume(self, queue: str) -> None:
        """End the pause, and wake the consumers that wait. Harmless when there is none."""

    @abstractmethod
    def paused(self) -> list[str]:
        """The queues that are paused, by name."""

    @abstractmethod
    def consumers(self) -> list[ConsumerStatus]:
        """Consumers that are registered and have not been declared dead, by id."""

    @abstractmethod
    def purge(self, queue: str, limit: int = 1000) -> list[Message | None]:
        """Remove up to ``limit`` ready messages and return them (None for one that is not a
        message); call again until it returns nothing. Delayed and lent ones stay."""

    @abstractmethod
    def delayed(self, queue: str | None = None, limit: int = 100) -> list[Message]:
        """Delayed messages, the next due first; ``Message.due`` is their moment."""

    @abstractmethod
    def cancel(self, task_id: str) -> int:
        """Remove delayed messages of this task id; how many there were."""

    @abstractmethod
    def parked(self) -> dict[str, int]:
        """Task names nobody knew, and how many messages wait for each."""

    @abstractmethod
    def expire_parked(self, older_than: float, limit: int = 100) -> list[Message]:
        """Move messages parked for more than ``older_than`` seconds to the dead letters
        (reason ``NotRegistered: <name>``) and return them."""

    @abstractmethod
    def dead(self, limit: int = 100, offset: int = 0) -> list[DeadLetter]:
        """Dead letters, the newest first."""

    @abstractmethod
    def dead_count(self) -> int:
        """How many dead letters there are."""

    @abstractmethod
    def revive(self, ids: Sequence[str]) -> int:
        """Put these dead letters back on their queues, to run now with retry and delivery
        counters at 0 and no expiry; how many there were. One that is not a message stays."""

    @abstractmethod
    def drop(self, ids: Sequence[str]) -> int:
        """Forget these dead letters; how many there were."""

    @abstractmethod
    def locate(self, task_id: str) -> Place | None:
        """Where the message of this task is, or None. May read whole queues: for people only."""
