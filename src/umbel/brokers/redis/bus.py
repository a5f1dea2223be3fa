"""The bus of Redis, which is that of Celery: kombu's fanout channels and reply lists.

A topic is a channel of the database, ``/<db>.<topic>``, behind the global prefix. One publish is
one command, sent at most once: a control command that arrived twice could do its work twice. Replies
are in ``mailbox.py``, the bytes in ``notices.py``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from time import monotonic
from typing import Any, Final, TypeVar

from umbel.brokers.bus import BACKLOG, Bus, Listener, Notice
from umbel.brokers.redis import scripts
from umbel.brokers.redis.mailbox import Mailbox, Place
from umbel.brokers.redis.notices import read, write
from umbel.drivers.redis import Address, Link, Pool
from umbel.exceptions import ConnectionLost
from umbel.waker import readable

__all__ = ["RedisBus"]

_RESP3: Final = 3
#: Kinds of pushed answers: who is told what, and where in the answer.
_TOLD: Final = frozenset({b"message", b"pmessage"})
_CONFIRMED: Final = frozenset({b"subscribe", b"psubscribe"})

T = TypeVar("T")


class RedisBus(Bus):
    """Publishes on the connections of the broker; each listener has one of its own."""

    def __init__(self, pool: Pool, timeout: float) -> None:
        self._pool = pool
        self._timeout = timeout
        self._head = channel_head(pool.address)

    def publish(
        self,
        topic: str,
        payload: Any,
        headers: Mapping[str, Any] | None = None,
        timeout: float | None = None,
    ) -> int | None:
        exchange, _, routing_key = topic.partition("/")
        raw = write(exchange, routing_key, payload, headers)
        deadline = monotonic() + (self._timeout if timeout is None else timeout)
        channel = f"{self._head}{topic}"
        reached: int = self._once(lambda link: link.call("PUBLISH", channel, raw), deadline)
        return reached

    def listen(self, topics: Sequence[str]) -> Listener:
        return _Subscriber(self._pool.address, topics)

    def open_mailbox(self, name: str, expires: float = 10.0) -> Listener:
        return Mailbox(self._pool.address, name, expires)

    def send_to(self, mailbox: str, payload: Any, headers: Mapping[str, Any] | None = None) -> None:
        place = Place(self._pool.address.prefix, mailbox)
        raw = write(place.exchange, place.name, payload, headers)
        where, what = (place.list, place.bindings), (place.member, raw, place.UNFETCHED)
        self._once(
            lambda link: link.eval(scripts.MAILBOX_SEND, where, what), monotonic() + self._timeout
        )

    def _once(self, work: Callable[[Link], T], deadline: float) -> T:
        """Do what must not be done twice, on a connection that is not known to be dead."""
        with self._pool.using(deadline) as link:
            self._pool.trust(link)
            if link.connected:
                try:
                    link.take_pushed()
                except ConnectionLost:
                    self._pool.clear()
            return work(link)


def channel_head(address: Address) -> str:
    """What stands before the topic in the name of a channel."""
    return f"{address.prefix}/{address.db}."


class _Subscriber(Listener):
    """Subscribes when it is made, and again after the connection was lost."""

    def __init__(self, address: Address, topics: Sequence[str]) -> None:
        self._head = channel_head(address)
        self._channels = [f"{self._head}{one}" for one in topics if "*" not in one]
        self._patterns = [_escape(self._head) + _escape(one) for one in topics if "*" in one]
        self._link = Link(address, on_push=self._note)
        self._backlog: deque[Notice] = deque(maxlen=BACKLOG)
        self._confirmed = 0
        #: What was told last, and by which subscriptions: a notice comes once for each that fits.
        self._last: tuple[bytes, bytes] | None = None
        self._told_by: set[bytes] = set()
        self._subscribe()

    def wait(self, timeout: float, fds: Collection[int] = ()) -> None:
        deadline = monotonic() + timeout
        self._subscribe()
        while not self._backlog:
            if not self._link.has_decrypted():
                left = max(0.0, deadline - monotonic())
                found = readable((self._link.fileno(), *fds), left)
                if self._link.fileno() not in found:
                    return
                if len(found) > 1:
                    break
            self._read()
        self._read()

    def take(self) -> list[Notice]:
        self._subscribe()
        if not self._backlog:
            self._read()
        notices = list(self._backlog)
        self._backlog.clear()
        return notices

    def close(self) -> None:
        self._link.close()
        self._channels = self._patterns = []

    def _subscribe(self) -> None:
        if self._link.connected or not (self._channels or self._patterns):
            return
        wanted = [("SUBSCRIBE", *self._channels), ("PSUBSCRIBE", *self._patterns)]
        self._confirmed = 0
        try:
            for command in wanted:
                if len(command) > 1:
                    self._link.send(*command)
            if self._link.protocol == _RESP3:
                self._link.call("PING")  # answered after all the confirmations
            while self._confirmed < len(self._channels) + len(self._patterns):
                self._note_all()
        except BaseException:
            self._link.close()
            raise

    def _read(self) -> None:
        """Everything that has arrived."""
        if not self._link.connected:
            return
        if self._link.protocol == _RESP3:
            self._link.take_pushed()
        elif self._link.wait_readable(0.0):
            self._note_all()

    def _note_all(self) -> None:
        for answer in self._link.receive():
            self._note(answer)

    def _note(self, answer: list[Any]) -> None:
        kind = answer[0]
        if kind in _CONFIRMED:
            self._confirmed += 1
        if kind not in _TOLD:
            return
        subscription, channel, raw = answer[1], answer[-2], answer[-1]
        if (channel, raw) != self._last:
            self._last, self._told_by = (channel, raw), set()
        elif subscription not in self._told_by:
            self._told_by.add(subscription)
            return
        self._told_by.add(subscription)
        notice = read(channel.decode(errors="replace").removeprefix(self._head), raw)
        if notice is not None:
            self._backlog.append(notice)


def _escape(text: str) -> str:
    """For a pattern of Redis, in which only ``*`` is meant."""
    return "".join(f"\\{letter}" if letter in "?[]^\\" else letter for letter in text)
