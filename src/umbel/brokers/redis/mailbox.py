"""A mailbox for replies, as Celery's: a list, found through the binding table of the exchange.

The owner waits with a blocking pop that is left on the server when something else wakes him: as
long as it is not answered, the list is empty. Everything else that came is fetched at once by a
script, which also keeps the binding alive.
"""

from __future__ import annotations

from collections.abc import Collection
from time import monotonic
from typing import Any, Final

from umbel.brokers.bus import Listener, Notice
from umbel.brokers.redis import scripts
from umbel.brokers.redis.keys import SEPARATOR
from umbel.brokers.redis.notices import read
from umbel.drivers.redis import Address, Link
from umbel.waker import readable

__all__ = ["Mailbox", "Place"]

#: Milliseconds for which binding tables are kept at least: kombu's.
_TABLE: Final = 3_600_000
#: The shortest wait that Redis does not take for an endless one.
_SHORTEST: Final = 0.01


class Place:
    """Where the mailbox of a name is. ``exchange/name``: of an app with a control exchange of its own."""

    #: Milliseconds for which a reply is kept that nobody fetches.
    UNFETCHED: Final = 10_000

    def __init__(self, prefix: str, mailbox: str) -> None:
        exchange, _, self.name = mailbox.rpartition("/")
        self.exchange = exchange or "reply.celery.pidbox"
        queue = f"{self.name}.{self.exchange}"
        self.list = f"{prefix}{queue}"
        self.member = f"{self.name}{SEPARATOR}{SEPARATOR}{queue}"
        self.bindings = f"{prefix}_kombu.binding.{self.exchange}"
        self.permanent = f"{prefix}_kombu.binding_permanent.{self.exchange}"
        self.deadlines = f"{prefix}_kombu.binding_deadlines"


class Mailbox(Listener):
    """Known to others when it has been made."""

    def __init__(self, address: Address, name: str, expires: float) -> None:
        self._place = Place(address.prefix, name)
        self._topic = name
        self._expires = expires
        self._link = Link(address)
        #: What was popped and not taken yet.
        self._popped: list[bytes] = []
        #: The server has a blocking pop of ours that it has not answered.
        self._pops = False
        self._looked_at = monotonic()
        self._closed = False
        self._popped += self._look(late=False)

    def wait(self, timeout: float, fds: Collection[int] = ()) -> None:
        deadline = monotonic() + timeout
        self._refresh()
        while not self._popped and not self._closed:
            if not self._pops:
                self._popped += self._look(late=False)
                if self._popped:
                    return
                self._begin_pop(max(0.0, deadline - monotonic()))
            left = 0.0 if self._link.has_decrypted() else max(0.0, deadline - monotonic())
            found = readable((self._link.fileno(), *fds), left)
            if self._link.fileno() in found or self._link.has_decrypted():
                self._end_pop()
            if any(fd in found for fd in fds) or monotonic() >= deadline:
                break
        self._looked_at = monotonic()

    def take(self) -> list[Notice]:
        self._refresh()
        if self._pops and self._link.wait_readable(0.0):
            self._end_pop()
        if not self._pops and not self._closed:
            self._popped += self._look(late=False)
        raws, self._popped = self._popped, []
        notices = (read(self._topic, raw) for raw in raws)
        return [notice for notice in notices if notice is not None]

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            if self._link.connected:
                if self._pops:
                    self._link.close()
                place = self._place
                self._link.pipeline([("SREM", place.bindings, place.member), ("DEL", place.list)])
        finally:
            self._link.close()

    def _refresh(self) -> None:
        """Begin anew after the connection was lost, or when the mailbox had been given up."""
        if self._closed:
            return
        if not self._link.connected:
            self._pops = False
        if monotonic() - self._looked_at > self._expires:
            if self._pops:
                self._link.close()
                self._pops = False
            self._popped = []
            self._look(late=True)

    def _look(self, *, late: bool) -> list[bytes]:
        """What lies in the mailbox, the oldest first; nothing when it had been given up."""
        place = self._place
        keys = (place.list, place.bindings, place.deadlines, place.permanent)
        kept = max(int(2000 * self._expires), _TABLE)
        arguments = (place.member, place.exchange, kept, int(late))
        found: list[Any] = self._link.eval(scripts.MAILBOX_LOOK, keys, arguments)
        self._looked_at = monotonic()
        return found[::-1]

    def _begin_pop(self, timeout: float) -> None:
        """Wait on the server, but not for so long that the mailbox is given up."""
        seconds = max(_SHORTEST, min(timeout, self._expires / 3, self._link.address.timeout / 2))
        self._link.post([("BRPOP", self._place.list, f"{seconds:.3f}")])
        self._pops = True

    def _end_pop(self) -> None:
        self._pops = False
        (answer,) = self._link.collect(1)
        if answer is not None:
            self._popped.append(answer[1])
