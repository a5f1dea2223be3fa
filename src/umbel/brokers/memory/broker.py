"""``memory://``: a broker whose store is this process. Behaves as the others do; survives nothing.

Messages go through the wire format, sizes are limited and settlements fenced as anywhere else, so
that what works with it in a test works in production. Only threads of one process can share it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias

from umbel.brokers.base import REVOKED_MOST, Broker, Consumer, RecordStore
from umbel.brokers.memory.admin import MemoryAdmin
from umbel.brokers.memory.bus import MemoryBus
from umbel.brokers.memory.consumer import Heir, MemoryConsumer
from umbel.brokers.memory.store import MessageStore, Stored
from umbel.clock import SYSTEM, Clock
from umbel.drivers.memory import memory
from umbel.drivers.url import hide_password
from umbel.exceptions import ImproperlyConfigured, MessageTooLarge
from umbel.message import protocol
from umbel.message.message import Message

__all__ = ["MemoryBroker", "Prepared"]

#: A message ready to be kept, and when it is due.
Prepared: TypeAlias = tuple[Stored, float | None]


class MemoryBroker(Broker):
    """Brokers of one name share one store; see ``umbel.drivers.memory`` for how to empty it."""

    crosses_processes = False

    def __init__(
        self,
        url: str = "memory://",
        *,
        options: Mapping[str, Any] | None = None,
        publish_timeout: float = 2.0,
        dead_limit: int = 10_000,
        dead_max_age: float = 604_800.0,
        max_message_size: int = 67_108_864,
        clock: Clock = SYSTEM,
    ) -> None:
        if options:
            raise ImproperlyConfigured(f"memory:// has no options; got {', '.join(options)}")
        self.display_url = hide_password(url)
        self.memory = memory(url)
        self.store = self.memory.part(MessageStore)
        self.clock = clock
        #: Nothing here can take long; kept so that all brokers are made alike.
        self.publish_timeout = publish_timeout
        self.dead_limit = dead_limit
        self.dead_max_age = dead_max_age
        self.max_message_size = max_message_size
        self.admin = MemoryAdmin(self)

    @cached_property
    def bus(self) -> MemoryBus:
        return MemoryBus(self.memory)

    def publish(self, messages: Sequence[Message], timeout: float | None = None) -> None:  # noqa: ARG002 - nothing to wait for
        prepared = self.prepare(messages)
        with self.store.lock:
            self.keep(prepared)

    def prepare(self, messages: Sequence[Message]) -> list[Prepared]:
        """Encode these; whatever is wrong with one of them is raised before any is kept."""
        return [self._prepare(message) for message in messages]

    def _prepare(self, message: Message) -> Prepared:
        raw = protocol.encode(message)
        if len(raw) > self.max_message_size:
            raise MessageTooLarge(
                f"the message of task {message.task}[{message.id}] has {len(raw)} bytes, more than "
                f"the {self.max_message_size} that this broker takes; send a reference to the data"
            )
        stored = Stored(raw, message.queue, message.priority, message.id, message.task)
        return stored, message.due

    def keep(self, prepared: Iterable[Prepared]) -> None:
        """Make these ready or delayed. The caller holds the store's lock."""
        now = self.clock.now()
        for stored, due in prepared:
            self.store.put(stored, due=due if due is not None and due > now else None)

    def put_raw(self, queue: str, data: bytes) -> None:
        """Lay bytes on a queue as they are, whatever they are."""
        stored = Stored(data, queue)
        message, _ = protocol.read_message(data, queue)
        if message is not None:  # else whoever receives it finds out
            stored = Stored(data, queue, message.priority, message.id, message.task)
        with self.store.lock:
            self.store.put(stored)

    def consume(
        self, queues: Sequence[str], consumer_id: str, records: RecordStore | None = None
    ) -> Consumer:
        return MemoryConsumer(self, queues, consumer_id, records)

    # Who lives ------------------------------------------------------------------------------------

    def beat(self, consumer_ids: Iterable[str]) -> list[str]:
        unknown: list[str] = []
        now = self.clock.monotonic()
        with self.store.lock:
            for consumer_id in consumer_ids:
                seat = self.store.seats.get(consumer_id)
                if seat is None or seat.dead:
                    unknown.append(consumer_id)
                else:
                    seat.heard, seat.beats = now, seat.beats + 1
        return unknown

    def silent(self, limit: float) -> dict[str, Any]:
        now = self.clock.monotonic()
        with self.store.lock:
            seats = self.store.seats.values()
            return {seat.id: seat.beats for seat in seats if now - seat.heard >= limit}

    def adopt(self, consumer_id: str, records: RecordStore | None = None) -> Consumer:
        return Heir(self, (), consumer_id, records)

    # The rest -------------------------------------------------------------------------------------

    def joins(self, records: RecordStore) -> bool:
        return getattr(records, "memory", None) is self.memory

    def revoke(self, ids: Sequence[str], until: float) -> None:
        with self.store.lock:
            revoked = {**self.store.revoked, **dict.fromkeys(ids, until)}
            now = self.clock.now()
            kept = sorted((moment, name) for name, moment in revoked.items() if moment > now)
            self.store.revoked = {name: moment for moment, name in kept[-REVOKED_MOST:]}
            self.store.revocations += 1

    def revoked(self) -> dict[str, float]:
        now = self.clock.now()
        return {name: until for name, until in self.store.revoked.items() if until > now}

    def attended(self) -> bool:
        return self.store.attended

    def trim_dead(self) -> None:
        """Keep the dead letters within their bounds. The caller holds the store's lock."""
        self.store.trim_dead(self.dead_limit, self.clock.now() - self.dead_max_age)

    def close(self) -> None:
        """There is no connection; the store stays."""
