"""Redis as a broker: sends messages, registers consumers, keeps track of who lives.

Messages lie where Celery's clients and workers look for them; what Celery has no place for is
under ``umbel:`` (see ``keys.py``). Connections are opened on first use, one for each thread that
publishes at the same time and one for each consumer. Redis Cluster is not supported: one step
touches keys of several slots.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import msgspec

from umbel.brokers.base import Binding, Broker, Consumer, RecordStore
from umbel.brokers.redis import scripts
from umbel.brokers.redis.admin import RedisQueueAdmin
from umbel.brokers.redis.bus import RedisBus
from umbel.brokers.redis.consumer import RedisConsumer
from umbel.brokers.redis.keys import SEPARATOR, Keys, Order
from umbel.brokers.redis.lists import Info
from umbel.brokers.redis.revoking import Revocations
from umbel.brokers.redis.sending import Overlap, Sender, read_retry_policy
from umbel.brokers.redis.settling import JoinedStore, Rules
from umbel.drivers.redis import Address, Pool, read_address
from umbel.exceptions import (
    ImproperlyConfigured,
)
from umbel.message.message import Message

if TYPE_CHECKING:
    from umbel.brokers.redis.async_sending import AsyncSender

__all__ = ["RedisBroker"]

#: Seconds; more would not fit into Lua's numbers.
_EVER: Final = 1e9


class RedisBroker(Broker):
    """Constructing it connects to nothing. ``options`` are kombu's transport options."""

    def __init__(
        self,
        url: str,
        *,
        options: Mapping[str, Any] | None = None,
        publish_timeout: float = 2.0,
        dead_limit: int = 10_000,
        dead_max_age: float = 604_800.0,
        max_message_size: int = 64 * 1024 * 1024,
        priority_order: Order = "umbel",
        retry_policy: Mapping[str, Any] | None = None,
    ) -> None:
        self.address = read_address(url, options)
        self.display_url = self.address.url
        self.publish_timeout = publish_timeout
        self.keys = Keys(self.address.prefix, priority_order)
        self.admin = RedisQueueAdmin(self)
        self.pool = Pool(self.address)
        self._revocations = Revocations(self.pool, self.keys)
        longest = int(min(dead_max_age, _EVER) * 1e6)
        self.rules = Rules(self.keys, dead_limit, longest, set())
        retry = read_retry_policy(retry_policy)
        self._retry = retry
        self._sender = Sender(self.pool, self.rules, retry, max_message_size)
        self._async_sender: AsyncSender | None = None

    @cached_property
    def bus(self) -> RedisBus:
        return RedisBus(self.pool, self.publish_timeout)

    # Publishing -----------------------------------------------------------------------------------

    def publish(self, messages: Sequence[Message], timeout: float | None = None) -> None:
        deadline = monotonic() + (self.publish_timeout if timeout is None else timeout)
        for batch in self._sender.batches(messages):
            self._sender.send(batch, deadline)

    async def publish_async(
        self, messages: Sequence[Message], timeout: float | None = None
    ) -> None:
        deadline = monotonic() + (self.publish_timeout if timeout is None else timeout)
        if self._async_sender is None:
            self._async_sender = self._make_async_sender()
        for batch in self._sender.batches(messages):
            await self._async_sender.send(batch, deadline)

    def _make_async_sender(self) -> AsyncSender:
        from umbel.brokers.redis.async_sending import AsyncSender

        return AsyncSender(self.address, self._sender, self._retry)

    def publish_all(
        self, batches: Iterable[Sequence[Message]], timeout: float | None = None
    ) -> None:
        patience = self.publish_timeout if timeout is None else timeout
        with Overlap(self._sender, patience) as overlap:
            for messages in batches:
                for batch in self._sender.batches(messages):
                    overlap.send(batch)

    def declare(self, bindings: Sequence[Binding]) -> None:
        self.pool.pipeline(
            ("SADD", place, _member(binding))
            for binding in bindings
            for place in self.keys.bindings_of(binding.exchange)
        )

    # Consumers ------------------------------------------------------------------------------------

    def consume(
        self, queues: Sequence[str], consumer_id: str, records: RecordStore | None = None
    ) -> Consumer:
        if isinstance(queues, str):
            raise ImproperlyConfigured(f"Queues to consume are a list of names, not {queues!r}")
        return RedisConsumer(
            address=self.address,
            rules=self.rules,
            queues=list(dict.fromkeys(queues)),
            consumer_id=consumer_id,
            records=records,
            joined=records is not None and self.joins(records),
        )

    def beat(self, consumer_ids: Iterable[str]) -> list[str]:
        ids = list(consumer_ids)
        if not ids:
            return []
        unknown = self.pool.eval(scripts.BEAT, (self.keys.consumers, self.keys.fences), ids)
        return [one.decode() for one in unknown]

    def silent(self, limit: float) -> dict[str, Any]:
        answer = self.pool.eval(scripts.SILENT, (self.keys.consumers,), (int(limit * 1000),))
        return {answer[at].decode(): answer[at + 1].decode() for at in range(0, len(answer), 2)}

    def adopt(self, consumer_id: str, records: RecordStore | None = None) -> Consumer:
        keys = self.keys
        where = (keys.consumers, keys.infos, keys.fences, keys.loans_of(consumer_id))
        described = self.pool.eval(scripts.ADOPT, where, (consumer_id,))
        if described is None:
            info = Info(queues=[], levels="", lists=[], hostname="", pid=0, since=0.0)
        else:
            info = msgspec.json.decode(described, type=Info)
        return RedisConsumer(
            address=self.address,
            rules=self.rules,
            queues=info.queues,
            consumer_id=consumer_id,
            records=records,
            joined=records is not None and self.joins(records),
            inherited=info,
        )

    def joins(self, records: RecordStore) -> bool:
        """Also for another database of the same server: the script selects it for its writes."""
        if not isinstance(records, JoinedStore) or not isinstance(records.address, Address):
            return False
        ours, theirs = self.address, records.address
        return ours.server == theirs.server and ours.username == theirs.username

    def revoke(self, ids: Sequence[str], until: float) -> None:
        self._revocations.add(ids, until)

    def revoked(self) -> dict[str, float]:
        return self._revocations.read()

    def attended(self) -> bool:
        return bool(self.pool.call("EXISTS", self.keys.attended))

    def close(self) -> None:
        self.pool.clear()
        if self._async_sender is not None:
            self._async_sender.close()


#: Words of a topic's pattern, as kombu writes them for itself.
_WORDS: Final = {"*": r"[^\.]+", "#": ".*?"}


def _member(binding: Binding) -> str:
    pattern = ""
    if binding.kind == "topic":
        words = (_WORDS.get(word) or _escaped(word) for word in binding.routing_key.split("."))
        pattern = "^" + r"\.".join(words) + "$"
    return SEPARATOR.join((binding.routing_key, pattern, binding.queue))


def _escaped(word: str) -> str:
    return "".join(sign if sign.isalnum() or sign in "#*" else f"\\{sign}" for sign in word)
