"""How an idle consumer sleeps, and what wakes it.

Before it sleeps it looks once more, with a script whose keys the server then watches for it (client
tracking, RESP3): it is told when one of them changes. Exchanges are not watched, so that a busy
consumer costs the server nothing extra. Where the server or a proxy refuses tracking, the consumer
looks by itself, at most every 50 ms.
"""

from __future__ import annotations

import math
import select
from collections.abc import Callable, Collection
from time import monotonic
from typing import Any, Final, TypeAlias

from umbel.drivers.redis import Link

__all__ = ["Look", "Waiting"]

#: How many lists hold messages, and milliseconds to the next due message (or -1).
Look: TypeAlias = Callable[[], tuple[int, int]]

_SHORTEST_LOOK: Final = 0.005
_LONGEST_LOOK: Final = 0.05


class Waiting:
    """What one consumer knows about when to look again."""

    def __init__(self) -> None:
        #: The server watches the keys, and nothing has changed since.
        self._watched = False
        #: That there may be a message was told; once is enough until the next look at the lists.
        self._told = False
        #: When the next delayed message comes due, on the monotonic clock.
        self._due_at = math.inf
        self._look_every = _SHORTEST_LOOK

    def note_push(self, _: list[Any]) -> None:
        """The server says that a key changed."""
        self._watched = False

    def note_exchange(self, limit: int, taken: int, due_in: int) -> None:
        """An exchange has changed keys, and looked at the lists if its limit was above 0."""
        self._watched = False
        if limit > 0:
            self._told = False
            self._note_due(due_in)
            self._look_every = _SHORTEST_LOOK if taken else min(2 * self._look_every, _LONGEST_LOOK)

    def note_change(self) -> None:
        """There may be something new, for another reason."""
        self._watched = self._told = False

    def until(
        self,
        link: Link,
        look: Look,
        timeout: float,
        fds: Collection[int],
        ready: bool,
    ) -> None:
        """Sleep on an open link, or one that is down, which then wakes nobody. ``ready``: there is
        something to take already."""
        listens = link.connected and link.protocol != 2 and link.setup_refused is None  # noqa: PLR2004 - RESP2
        if not self._told:
            if ready:
                timeout = 0.0
            elif listens and not self._watched:
                timeout = min(timeout, self._look_again(link, look))
            elif link.connected and not listens:
                timeout = min(timeout, self._look_every)
            timeout = min(timeout, self._due_at - monotonic())
        poller = select.poll()
        for fd in fds:
            poller.register(fd, select.POLLIN)
        server = link.fileno() if link.connected else -1
        if server >= 0:
            poller.register(server, select.POLLIN)
            timeout = 0.0 if link.has_decrypted() else timeout
        readable = [fd for fd, _ in poller.poll(max(math.ceil(timeout * 1000), 0))]
        if server in readable or timeout <= 0 <= server:
            link.take_pushed()
        if ready or self._due_at <= monotonic() or (listens and not self._watched):
            self._told = True

    def _look_again(self, link: Link, look: Look) -> float:
        """Have the server watch; how long to sleep at most."""
        ready, due_in = look()
        self._watched = not ready
        link.take_pushed(read=False)  # what changed after the look
        self._note_due(due_in)
        return math.inf if self._watched else 0.0

    def _note_due(self, due_in: int) -> None:
        self._due_at = math.inf if due_in < 0 else monotonic() + due_in / 1000
