"""Messages in an SQL database: sending them, and knowing which consumers live.

``SqlBroker`` is the door; lending and settling are in ``consumer.py``, what people ask for in
``admin.py``. Which database it is, only the driver knows.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec

from umbel.brokers.base import Broker, Consumer, RecordStore
from umbel.brokers.sql.admin import SqlQueueAdmin
from umbel.brokers.sql.bus import SqlBus
from umbel.brokers.sql.consumer import SqlConsumer
from umbel.brokers.sql.queries import Queries
from umbel.brokers.sql.revoking import Revocations
from umbel.brokers.sql.rows import TOPIC, row_of
from umbel.brokers.sql.settling import DeadLetterLimits, Settler
from umbel.drivers.sql import open_driver
from umbel.drivers.sql.base import JoinedStore, SqlDriver, Values
from umbel.drivers.sql.batch import LONGEST
from umbel.exceptions import MessageTooLarge
from umbel.message.message import Message
from umbel.message.protocol import encode

__all__ = ["SqlBroker"]

#: Messages, and bytes of them, that are sent in one statement.
_MOST, _MOST_BYTES = LONGEST, 4_000_000
#: Number of an adopted consumer that has signed off: no row has it.
_NOBODY = 0
#: Milliseconds by which a heartbeat may seem to come from the future.
_AHEAD = 1000


class SqlBroker(Broker):
    """A broker in an SQL database. Constructing it connects to nothing."""

    def __init__(
        self,
        url: str,
        *,
        options: Mapping[str, Any] | None = None,
        publish_timeout: float = 2.0,
        dead_limit: int = 10_000,
        dead_max_age: float = 604_800.0,
        max_message_size: int = 64 * 1024 * 1024,
    ) -> None:
        self.driver: SqlDriver = open_driver(url, options)
        self.display_url = self.driver.display_url
        self.publish_timeout = publish_timeout
        self.max_message_size = max_message_size
        self._queries = Queries(self.driver.dialect)
        self._limits = DeadLetterLimits(dead_limit, dead_max_age)
        self._revocations = Revocations(self.driver)
        self.admin = SqlQueueAdmin(self.driver, self._queries, self._limits)

    @cached_property
    def bus(self) -> SqlBus:
        return SqlBus(self.driver, self.publish_timeout)

    # Sending --------------------------------------------------------------------------------------

    def publish(self, messages: Sequence[Message], timeout: float | None = None) -> None:
        limit = self.publish_timeout if timeout is None else timeout
        deadline = time.monotonic() + limit
        now = self.driver.now()
        rows = [self._row(message, now) for message in messages]
        if len(rows) == 1:
            with self.driver.session(limit) as session:
                session.execute(self._queries.insert_one, rows[0])
                self.driver.announce(session, TOPIC)
            return
        for part in _parts(rows):
            with self.driver.session(max(0.0, deadline - time.monotonic())) as session:
                session.execute(*self._queries.insert.bind(part))
                self.driver.announce(session, TOPIC)

    def _row(self, message: Message, now: int) -> Values:
        raw = encode(message)
        if len(raw) > self.max_message_size:
            raise MessageTooLarge(
                f"the message of task {message.task!r} ({message.id}) has {len(raw)} bytes; "
                f"{self.max_message_size} are allowed"
            )
        return row_of(message, raw, now)

    # Consumers ------------------------------------------------------------------------------------

    def consume(
        self, queues: Sequence[str], consumer_id: str, records: RecordStore | None = None
    ) -> Consumer:
        return SqlConsumer(
            self.driver,
            self._queries,
            self._settler(records),
            consumer_id=consumer_id,
            queues=queues,
            records=records,
        )

    def beat(self, consumer_ids: Iterable[str]) -> list[str]:
        ids = list(consumer_ids)
        if not ids:
            return []
        names = msgspec.json.encode(ids).decode()
        now = self.driver.now()
        with self.driver.session() as session:
            session.execute(self._queries.beat, (now, now + 1, now, names))
            living = {name for (name,) in session.fetch(self._queries.living, (names,))}
        return [name for name in ids if name not in living]

    def silent(self, limit: float) -> dict[str, Any]:
        now, silence = self.driver.now(), int(limit * 1000)
        with self.driver.session() as session:
            rows = session.fetch(self._queries.silent, (now - silence, now + silence + _AHEAD))
        return {name: (beat, dead) for name, beat, dead in rows}

    def adopt(self, consumer_id: str, records: RecordStore | None = None) -> Consumer:
        number = _NOBODY
        with self.driver.transaction() as session:
            for number, _ in session.fetch(self._queries.find_consumer, (consumer_id,)):
                session.execute(self._queries.condemn, (self.driver.now(), number))
        return SqlConsumer(
            self.driver,
            self._queries,
            self._settler(records),
            consumer_id=consumer_id,
            records=records,
            number=number,
        )

    def joins(self, records: RecordStore) -> bool:
        return self._joined(records) is not None

    def revoke(self, ids: Sequence[str], until: float) -> None:
        self._revocations.add(ids, until)

    def revoked(self) -> dict[str, float]:
        return self._revocations.read()

    def attended(self) -> bool:
        with self.driver.session() as session:
            return bool(session.fetch(self._queries.attended))

    def close(self) -> None:
        self.driver.close()

    def _settler(self, records: RecordStore | None) -> Settler:
        return Settler(self.driver, self._queries, self._limits, self._joined(records))

    def _joined(self, records: Any) -> JoinedStore | None:
        """The store, if its rows can be written in statements of this broker."""
        driver = getattr(records, "driver", None)
        if isinstance(driver, SqlDriver) and driver.database == self.driver.database:
            store: JoinedStore = records
            return store
        return None


def _parts(rows: Sequence[Values]) -> Iterator[Sequence[Values]]:
    """The rows in parts that are sent with one statement each."""
    part: list[Values] = []
    size = 0
    for row in rows:
        if len(part) == _MOST or (part and size + len(row[-1]) > _MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(row)
        size += len(row[-1])
    if part:
        yield part
