"""Telling whoever listens now: control commands, their replies, and events.

What goes over a bus is told, not kept: who does not listen misses it, and nobody waits for those
who do. Messages that must not get lost go through the broker beside it. A bus tells the same to
Celery where its kind has a form for that (Redis: kombu's fanout channels and reply lists).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

__all__ = ["BACKLOG", "Bus", "Listener", "Notice", "covering"]

#: Notices that are kept for a listener that does not take them; the oldest are forgotten.
BACKLOG = 100_000


class Notice(msgspec.Struct, frozen=True):
    """Something that was told."""

    #: Where: ``celery.pidbox``, ``celeryev/task.received``, or the name of a mailbox.
    topic: str
    #: What: anything that JSON can say.
    payload: Any
    #: Told beside it: ``hostname``, ``ticket``, ``clock``, ``expires``, …
    headers: dict[str, Any]


class Listener(ABC):
    """What was told since somebody began to listen. Belongs to one thread.

    When the server goes away, ``wait`` and ``take`` raise ``ConnectionLost``; the next call listens
    anew. What was told in between is missed.
    """

    @abstractmethod
    def wait(self, timeout: float, fds: Collection[int] = ()) -> None:
        """Block until there may be a notice, one of ``fds`` is readable, or ``timeout`` seconds
        passed. May return early."""

    @abstractmethod
    def take(self) -> list[Notice]:
        """Every notice that has arrived, the oldest first. Does not block. What cannot be read is
        left out, with a line in the log."""

    @abstractmethod
    def close(self) -> None:
        """Listen no more. Closing twice is harmless."""


class Bus(ABC):
    """Safe to share between threads; after a fork the child opens its own connections by itself.
    Connects on first use."""

    #: What is told is written down, also when nobody listens.
    keeps: ClassVar[bool] = False

    @abstractmethod
    def publish(
        self,
        topic: str,
        payload: Any,
        headers: Mapping[str, Any] | None = None,
        timeout: float | None = None,
    ) -> int | None:
        """Tell everybody who listens to this topic. Returns when the server has it, else raises
        ``OperationalError`` within ``timeout`` seconds (None: the broker's own limit). Says how
        many listeners it reached; None: this kind cannot know."""

    @abstractmethod
    def listen(self, topics: Sequence[str]) -> Listener:
        """Listen to these topics; ``*`` stands for any text. On return, whatever is published from
        now on arrives."""

    @abstractmethod
    def open_mailbox(self, name: str, expires: float = 10.0) -> Listener:
        """A mailbox of one's own, for replies to what one publishes. It is given up when it is
        closed, or when its owner has not looked for ``expires`` seconds."""

    @abstractmethod
    def send_to(self, mailbox: str, payload: Any, headers: Mapping[str, Any] | None = None) -> None:
        """Put a reply into a mailbox, if somebody has one of this name. ``OperationalError`` as for
        ``publish``."""


def covering(topics: Sequence[str]) -> Callable[[str], bool]:
    """Whether a topic is one of these, in which ``*`` stands for any text."""
    patterns = (".*".join(map(re.escape, topic.split("*"))) for topic in topics)
    match = re.compile("|".join(patterns), re.DOTALL).fullmatch
    return lambda topic: match(topic) is not None
