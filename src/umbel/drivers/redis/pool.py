"""Connections for many threads: each is used by one thread at a time and then by the next.

A pool holds as many connections as were in use at once. Taking and giving back is one operation
on a list, which the interpreter makes atomic, so that threads do not queue for a lock. After a
fork, and after a broken connection, those that lie idle are thrown away.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final, TypeVar

from umbel.drivers.redis.address import Address
from umbel.drivers.redis.link import Argument, Link, Script
from umbel.exceptions import ConnectionLost, OperationalError

__all__ = ["Pool"]

#: Seconds that an idle connection has to show that it still works.
_HEALTHY_WITHIN: Final = 1.0

T = TypeVar("T")


class Pool:
    """Safe to share between threads; connects on first use."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._idle: list[Link] = []
        most = address.max_connections
        self._places = None if most is None else threading.BoundedSemaphore(most)

    @property
    def bounded(self) -> bool:
        """Whether somebody who takes a second connection may have to wait for the first."""
        return self._places is not None

    def take(self, deadline: float | None = None) -> Link:
        """A connection, to be given back with ``give`` whatever happens."""
        if self._places is not None:
            self._wait_for_place(deadline)
        try:
            link = self._idle.pop()
        except IndexError:
            link = Link(self.address)
        link.deadline = deadline
        return link

    def give(self, link: Link) -> None:
        """Take it back; a broken one is forgotten, and one on which answers are still to come."""
        if link.connected and not link.awaited:
            link.idle_since = monotonic()
            self._idle.append(link)
        else:
            link.close()
        if self._places is not None:
            self._places.release()

    @contextmanager
    def using(self, deadline: float | None = None) -> Iterator[Link]:
        """A connection for the length of a block."""
        link = self.take(deadline)
        try:
            yield link
        finally:
            self.give(link)

    def trust(self, link: Link) -> None:
        """Try a connection that was idle for long, and close it when it is dead."""
        if link.connected and monotonic() - link.idle_since > self.address.health_check_interval:
            deadline = link.deadline
            soon = monotonic() + _HEALTHY_WITHIN
            link.deadline = soon if deadline is None else min(soon, deadline)
            try:
                link.call("PING")
            except OperationalError:
                self.clear()
                link.close()
            finally:
                link.deadline = deadline

    def run(self, work: Callable[[Link], T], deadline: float | None = None) -> T:
        """Do what may be done twice: once more on a new connection when an idle one had died."""
        with self.using(deadline) as link:
            used = link.connected
            try:
                return work(link)
            except ConnectionLost:
                self.clear()
                if not used:
                    raise
                return work(link)

    def call(self, *command: Argument) -> Any:
        """One command that may be sent twice."""
        return self.run(lambda link: link.call(*command))

    def pipeline(self, commands: Iterable[tuple[Argument, ...]]) -> list[Any]:
        """Commands that may be sent twice."""
        listed = list(commands)
        return self.run(lambda link: link.pipeline(listed)) if listed else []

    def eval(self, script: Script, keys: Sequence[Argument], arguments: Sequence[Argument]) -> Any:
        """A script that may be run twice."""
        return self.run(lambda link: link.eval(script, keys, arguments))

    def clear(self) -> None:
        """Close the idle connections."""
        while self._idle:
            try:
                link = self._idle.pop()
            except IndexError:  # another thread was faster
                return
            link.close()

    def _wait_for_place(self, deadline: float | None) -> None:
        assert self._places is not None
        left = self.address.timeout if deadline is None else max(deadline - monotonic(), 0.0)
        if not self._places.acquire(timeout=left):
            raise OperationalError(
                f"All {self.address.max_connections} connections to {self.address.url} are in use"
            )
