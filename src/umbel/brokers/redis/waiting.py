"""How an idle consumer sleeps, and what wakes it.

In RESP3 the server tells a connection when a key that it has read changes (client tracking); the
exchange script reads every list, and the next due moment, whenever it leaves empty-handed. Where
the server or a proxy refuses tracking, the consumer looks by itself, at most every 50 ms.
"""

from __future__ import annotations

import math
import select
import socket
from collections.abc import Collection
from contextlib import suppress
from time import monotonic
from typing import Any, Final

from umbel.drivers.redis import Link

__all__ = ["TRACKING", "Sleep", "Waker"]

#: For each new connection of a consumer. Its own changes do not wake it.
TRACKING: Final = ("CLIENT", "TRACKING", "ON", "NOLOOP")

_SHORTEST_LOOK: Final = 0.005
_LONGEST_LOOK: Final = 0.05


class Waker:
    """Makes a sleeper wake up; ``set`` may be called from any thread or signal handler."""

    def __init__(self) -> None:
        self._reading, self._writing = socket.socketpair()
        self._reading.setblocking(False)
        self._writing.setblocking(False)

    def set(self) -> None:
        """Wake now, or at the next sleep."""
        with suppress(OSError):  # full: it is set already; closed: nobody sleeps
            self._writing.send(b"!")

    def clear(self) -> None:
        """Forget every ``set`` so far."""
        with suppress(BlockingIOError):
            while self._reading.recv(4096):
                pass

    def fileno(self) -> int:
        return self._reading.fileno()

    def close(self) -> None:
        self._writing.close()
        self._reading.close()


class Sleep:
    """What one consumer knows about when to look again."""

    def __init__(self) -> None:
        self.waker = Waker()
        #: A message may be there; told by one return of ``wait``.
        self.changed = True
        #: When the next delayed message comes due, on the monotonic clock; told once, too.
        self.due_at: float | None = None
        self._look_every = _SHORTEST_LOOK

    def note_push(self, _: list[Any]) -> None:
        """The server says that a key changed."""
        self.changed = True

    def note_exchange(self, limit: int, taken: int, due_in: int) -> None:
        """An exchange has looked at the lists, as far as its limit went. ``due_in`` milliseconds;
        below 0: nothing is delayed."""
        if limit == 0:
            return
        # At its limit it saw only a part, and reads nothing that would make the server tell.
        self.changed = taken >= limit
        self.due_at = None if due_in < 0 else monotonic() + due_in / 1000
        self._look_every = _SHORTEST_LOOK if taken else min(2 * self._look_every, _LONGEST_LOOK)

    def until(self, link: Link, timeout: float, fds: Collection[int]) -> None:
        """Sleep on an open link, or one that is down, which then wakes nobody."""
        timeout = self._bounded(link, timeout)
        poller = select.poll()
        poller.register(self.waker.fileno(), select.POLLIN)
        for fd in fds:
            poller.register(fd, select.POLLIN)
        server = link.fileno() if link.connected else -1
        if server >= 0:
            poller.register(server, select.POLLIN)
        ready = [fd for fd, _ in poller.poll(math.ceil(timeout * 1000))]
        if self.waker.fileno() in ready:
            self.waker.clear()
        if server in ready or (server >= 0 and link.has_decrypted()):
            link.take_pushed()
        self.changed = False
        if self.due_at is not None and self.due_at <= monotonic():
            self.due_at = None

    def close(self) -> None:
        self.waker.close()

    def _bounded(self, link: Link, timeout: float) -> float:
        if self.changed or (link.connected and link.has_decrypted()):
            return 0.0
        if self.due_at is not None:
            timeout = min(timeout, self.due_at - monotonic())
        if link.connected and (link.protocol == 2 or link.setup_refused is not None):  # noqa: PLR2004 - RESP2
            timeout = min(timeout, self._look_every)
        return max(timeout, 0.0)
