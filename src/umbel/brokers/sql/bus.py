"""The bus of an SQL database: a table of notices, numbered as they were committed.

A listener remembers the number that it has seen last, and is woken as consumers are: by commits.
Notices are deleted after a minute, all but the last, whose number the next one must follow.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from umbel.brokers.bus import BACKLOG, Bus, Listener, Notice, covering
from umbel.drivers.sql.base import SqlDriver
from umbel.exceptions import OperationalError
from umbel.message import tagged_json
from umbel.message.serializers import encode
from umbel.waker import readable

__all__ = ["SqlBus"]

#: Under which listeners are told of new rows.
_TOPIC = "umbel_notice"
#: What stands before the topic of a notice, and before the name of a mailbox.
_TOLD, _REPLY = "t:", "m:"
#: Seconds for which a notice is kept, and between two looks for older ones.
_KEPT, _PRUNE_EVERY = 60.0, 5.0
#: Rows that are read, or deleted, in one statement.
_MOST = 1000
#: Seconds to sleep after a commit that told nothing; a busy database commits all the time.
_PAUSE_FIRST, _PAUSE_LAST = 0.001, 0.05


class SqlBus(Bus):
    """Publishes on the connections of the driver."""

    keeps = True

    def __init__(self, driver: SqlDriver, timeout: float) -> None:
        self._driver = driver
        self._timeout = timeout
        adapt = driver.dialect.adapt
        self._insert = adapt(
            "INSERT INTO umbel_notice (moment_ms, topic, payload, headers) VALUES (?, ?, ?, ?)"
        )
        self._prune = adapt("DELETE FROM umbel_notice WHERE moment_ms < ? AND id < ?")
        self._old = adapt("SELECT id FROM umbel_notice ORDER BY id LIMIT 1 OFFSET ?")
        self._last = "SELECT max(id) FROM umbel_notice"
        self._prune_at = 0.0

    def publish(
        self,
        topic: str,
        payload: Any,
        headers: Mapping[str, Any] | None = None,
        timeout: float | None = None,
    ) -> int | None:
        limit = self._timeout if timeout is None else timeout
        self._tell(f"{_TOLD}{topic}", payload, headers, limit)
        return None

    def listen(self, topics: Sequence[str]) -> Listener:
        return _SqlListener(self._driver, covering([f"{_TOLD}{topic}" for topic in topics]))

    def open_mailbox(self, name: str, expires: float = 10.0) -> Listener:
        place = f"{_REPLY}{name}"
        return _SqlListener(self._driver, lambda topic: topic == place, expires)

    def send_to(self, mailbox: str, payload: Any, headers: Mapping[str, Any] | None = None) -> None:
        self._tell(f"{_REPLY}{mailbox}", payload, headers, self._timeout)

    def _tell(
        self, topic: str, payload: Any, headers: Mapping[str, Any] | None, timeout: float
    ) -> None:
        told = encode(payload, place="payload")[2].decode()
        beside = encode(dict(headers or {}), place="headers")[2].decode()
        driver = self._driver
        with driver.session(timeout) as session:
            session.execute(self._insert, (driver.now(), topic, told, beside))
            driver.announce(session, _TOPIC)
        if time.monotonic() >= self._prune_at:
            self._prune_at = time.monotonic() + _PRUNE_EVERY
            with suppress(OperationalError):
                self._forget(driver.now() - int(_KEPT * 1000))

    def _forget(self, before: int) -> None:
        """Delete a bounded number of old notices."""
        with self._driver.session(0.0) as session:
            ((last,),) = session.fetch(self._last)
            for (beyond,) in session.fetch(self._old, (_MOST,)):
                last = min(last, beyond)
            session.execute(self._prune, (before, last))


class _SqlListener(Listener):
    """Reads what was committed after it was made. ``expires``: of a mailbox."""

    def __init__(
        self, driver: SqlDriver, hears: Callable[[str], bool], expires: float | None = None
    ) -> None:
        self._driver = driver
        self._hears = hears
        self._expires = expires
        adapt = driver.dialect.adapt
        self._find = adapt(
            "SELECT id, topic, payload, headers FROM umbel_notice WHERE id > ? "
            f"ORDER BY id LIMIT {_MOST:d}"
        )
        self._backlog: deque[Notice] = deque(maxlen=BACKLOG)
        self._pause = 0.0
        self._looked_at = time.monotonic()
        self._seen = self._number()
        self._watch = driver.watch(_TOPIC)

    def wait(self, timeout: float, fds: Collection[int] = ()) -> None:
        deadline = time.monotonic() + timeout
        self._look()
        while not self._backlog and (left := deadline - time.monotonic()) > 0:
            if fds and readable(fds, min(self._pause, left)):
                break
            if not fds:
                time.sleep(min(self._pause, left))
            self._watch.wait(max(0.0, deadline - time.monotonic()), fds)
            if fds and readable(fds, 0.0):
                break
            self._look()
            self._pause = min(_PAUSE_LAST, max(_PAUSE_FIRST, 2 * self._pause))
        else:
            self._pause = 0.0
        self._looked_at = time.monotonic()

    def take(self) -> list[Notice]:
        self._look()
        notices = list(self._backlog)
        self._backlog.clear()
        return notices

    def close(self) -> None:
        self._watch.close()

    def _look(self) -> None:
        """Read what is new."""
        late = self._expires is not None and time.monotonic() - self._looked_at > self._expires
        self._looked_at = time.monotonic()
        if late:  # the mailbox was given up meanwhile
            self._backlog.clear()
            self._seen = self._number()
        self._watch.mark()
        if not self._read() and self._number() < self._seen:
            self._seen = 0  # another file has taken the place of the one that was there
            self._read()

    def _read(self) -> bool:
        """Whether there was anything new."""
        began = self._seen
        while True:
            with self._driver.session() as session:
                rows = session.fetch(self._find, (self._seen,))
            for self._seen, topic, payload, headers in rows:
                if self._hears(topic):
                    self._backlog.append(_notice(topic, payload, headers))
            if len(rows) < _MOST:
                return self._seen > began

    def _number(self) -> int:
        """Of the last notice that was told."""
        with self._driver.session() as session:
            ((last,),) = session.fetch("SELECT max(id) FROM umbel_notice")
        return last or 0


def _notice(topic: str, payload: str, headers: str) -> Notice:
    decode = tagged_json.decode
    return Notice(topic[len(_TOLD) :], decode(payload.encode()), decode(headers.encode()))
