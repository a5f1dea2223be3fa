"""The bus within one process: what is published is appended to the backlog of each listener.

Payloads go through JSON as with every other kind, so that what works here works there, and nobody
shares an object with who told it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from umbel.brokers.bus import BACKLOG, Bus, Listener, Notice, covering
from umbel.drivers.memory import Memory
from umbel.message.serializers import prepare
from umbel.waker import Waker, readable

__all__ = ["MemoryBus"]


class _Board:
    """Who listens within one store."""

    lock: threading.RLock
    listeners: list[_MemoryListener]
    mailboxes: dict[str, _Mailbox]

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.lock = threading.RLock()
        self.listeners = []
        self.mailboxes = {}


class MemoryBus(Bus):
    """Buses of one store reach each other."""

    def __init__(self, memory: Memory) -> None:
        self._board = memory.part(_Board)

    def publish(
        self,
        topic: str,
        payload: Any,
        headers: Mapping[str, Any] | None = None,
        timeout: float | None = None,  # noqa: ARG002 - nothing to wait for
    ) -> int | None:
        with self._board.lock:
            reached = [listener for listener in self._board.listeners if listener.hears(topic)]
            for listener in reached:
                listener.put(_notice(topic, payload, headers))
        return len(reached)

    def listen(self, topics: Sequence[str]) -> Listener:
        return _MemoryListener(self._board, covering(topics))

    def open_mailbox(self, name: str, expires: float = 10.0) -> Listener:
        return _Mailbox(self._board, name, expires)

    def send_to(self, mailbox: str, payload: Any, headers: Mapping[str, Any] | None = None) -> None:
        notice = _notice(mailbox, payload, headers)
        with self._board.lock:
            found = self._board.mailboxes.get(mailbox)
            if found is not None:
                found.put(notice)


def _notice(topic: str, payload: Any, headers: Mapping[str, Any] | None) -> Notice:
    return Notice(
        topic, prepare(payload, place="payload"), prepare(dict(headers or {}), place="headers")
    )


class _MemoryListener(Listener):
    """A backlog, and a pipe that wakes who waits for it."""

    def __init__(self, board: _Board, hears: Callable[[str], bool]) -> None:
        self.hears = hears
        self._board = board
        self._backlog: deque[Notice] = deque(maxlen=BACKLOG)
        self._waker = Waker()
        with board.lock:
            self._enter()

    def _enter(self) -> None:
        self._board.listeners.append(self)

    def _leave(self) -> None:
        if self in self._board.listeners:
            self._board.listeners.remove(self)

    def put(self, notice: Notice) -> None:
        """Called with the lock held."""
        self._backlog.append(notice)
        self._waker.set()

    def wait(self, timeout: float, fds: Collection[int] = ()) -> None:
        if not self._backlog:
            readable((self._waker.fd, *fds), timeout)

    def take(self) -> list[Notice]:
        with self._board.lock:
            self._waker.clear()
            notices = list(self._backlog)
            self._backlog.clear()
        return notices

    def close(self) -> None:
        with self._board.lock:
            self._leave()
        self._waker.close()


class _Mailbox(_MemoryListener):
    """A listener that is found by its name."""

    def __init__(self, board: _Board, name: str, expires: float) -> None:
        self._name = name
        self._expires = expires
        self._looked_at = time.monotonic()
        super().__init__(board, lambda _: False)

    def _enter(self) -> None:
        self._board.mailboxes[self._name] = self

    def _leave(self) -> None:
        if self._board.mailboxes.get(self._name) is self:
            del self._board.mailboxes[self._name]

    def put(self, notice: Notice) -> None:
        if time.monotonic() - self._looked_at <= self._expires:
            super().put(notice)

    def wait(self, timeout: float, fds: Collection[int] = ()) -> None:
        self._look()
        super().wait(timeout, fds)
        self._looked_at = time.monotonic()

    def take(self) -> list[Notice]:
        self._look()
        return super().take()

    def _look(self) -> None:
        """What came before the mailbox was given up is gone with it."""
        now = time.monotonic()
        with self._board.lock:
            if now - self._looked_at > self._expires:
                self._backlog.clear()
            self._looked_at = now
