"""Redis as a broker: sends messages, registers consumers, keeps track of who lives.

Messages lie where Celery's clients and workers look for them; what Celery has no place for is
under ``umbel:`` (see ``keys.py``). Connections are opened on first use, one for each thread that
publishes at the same time and one for each consumer. Redis Cluster is not supported: one step
touches keys of several slots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic, sleep
from typing import Any, Final, TypeVar

import msgspec

from umbel.brokers.base import Broker, Consumer, RecordStore
from umbel.brokers.redis import scripts
from umbel.brokers.redis.admin import RedisQueueAdmin
from umbel.brokers.redis.consumer import RedisConsumer
from umbel.brokers.redis.keys import Keys, Order
from umbel.brokers.redis.lists import Info
from umbel.brokers.redis.settling import JoinedStore, Rules, due_of
from umbel.drivers.redis import Address, Link, Pool, Refused, read_address
from umbel.exceptions import (
    ConnectionLost,
    ImproperlyConfigured,
    MessageTooLarge,
    OperationalError,
)
from umbel.message.message import Message
from umbel.message.protocol import encode
from umbel.spelling import nearest

__all__ = ["RedisBroker"]

#: Messages, and bytes, in one command: a bound for the time that the server spends on it.
_MESSAGES_AT_ONCE: Final = 1000
_BYTES_AT_ONCE: Final = 4 * 1024 * 1024
#: Seconds; more would not fit into Lua's numbers.
_EVER: Final = 1e9

T = TypeVar("T")


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When to try again after a broken connection; names and values are kombu's."""

    #: None: until the time is up.
    max_retries: int | None = 3
    interval_start: float = 0.0
    interval_step: float = 0.2
    interval_max: float = 0.2

    def pause(self, attempt: int) -> float | None:
        """Seconds before the retry after this many attempts; None: no more."""
        if self.max_retries is not None and attempt > self.max_retries:
            return None
        return min(self.interval_start + (attempt - 1) * self.interval_step, self.interval_max)


class _Batch:
    """Messages on their way, by the list or the queue that they go to."""

    __slots__ = ("count", "delayed", "queues", "ready", "size")

    def __init__(self) -> None:
        self.ready: dict[str, list[bytes]] = {}
        #: Arguments of the delay script.
        self.delayed: dict[str, list[Any]] = {}
        self.queues: set[str] = set()
        self.count = 0
        self.size = 0

    def add(self, message: Message, raw: bytes, keys: Keys) -> None:
        queue = message.queue
        due = None if message.due is None else due_of(message)
        if due is None:
            place = keys.list_for(queue, message.priority)
            if place in self.ready:
                self.ready[place].append(raw)
            else:
                self.ready[place] = [raw]
        else:
            level = keys.level_of(message.priority)
            self.delayed.setdefault(queue, []).extend((message.id, due, level, raw))
        self.queues.add(queue)
        self.count += 1
        self.size += len(raw)


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
        self.max_message_size = max_message_size
        self.keys = Keys(self.address.prefix, priority_order)
        self.admin = RedisQueueAdmin(self)
        self._retry = _retry_policy(retry_policy)
        self.pool = Pool(self.address)
        longest = int(min(dead_max_age, _EVER) * 1e6)
        self.rules = Rules(self.keys, dead_limit, longest, set())

    # Publishing -----------------------------------------------------------------------------------

    def publish(self, messages: Sequence[Message], timeout: float | None = None) -> None:
        deadline = monotonic() + (self.publish_timeout if timeout is None else timeout)
        batch = _Batch()
        for message in messages:
            raw = message.written or encode(message)
            if len(raw) > self.max_message_size:
                raise self._too_large(message, len(raw))
            batch.add(message, raw, self.keys)
            if batch.size > _BYTES_AT_ONCE or batch.count >= _MESSAGES_AT_ONCE:
                self._send(batch, deadline)
                batch = _Batch()
        self._send(batch, deadline)

    def _send(self, batch: _Batch, deadline: float) -> None:
        known = self.rules.known_queues
        commands: list[tuple[Any, ...]] = [
            ("LPUSH", place, *raws) for place, raws in batch.ready.items()
        ]
        if commands:
            new = batch.queues - known
            if new:
                commands.append(("SADD", self.keys.queues, *new))
            self._insist(lambda link: link.pipeline(commands), deadline)
            known.update(new)
        for queue, what in batch.delayed.items():
            where = (*self.keys.delayed_of(queue), self.keys.queues)
            self._delay(where, (queue, *what), deadline)

    def _delay(self, where: Sequence[str], what: Sequence[Any], deadline: float) -> None:
        self._insist(lambda link: link.eval(scripts.DELAY, where, what), deadline)

    def _insist(self, work: Callable[[Link], T], deadline: float) -> T:
        """Do it, again and again as the retry policy says, until the deadline. What was sent when
        a connection broke may have arrived, and is sent again."""
        attempt = 0
        while True:
            link = self.pool.take(deadline)
            self.pool.trust(link)
            used = link.connected
            try:
                return work(link)
            except (ConnectionLost, Refused) as error:
                problem: OperationalError = error
            finally:
                self.pool.give(link)
            if isinstance(problem, Refused) and not problem.temporary:
                raise problem
            self.pool.clear()
            if used and attempt == 0:  # it had died while nobody used it: that is no attempt
                attempt = 1
                continue
            attempt = max(attempt, 1)
            pause = self._retry.pause(attempt)
            if pause is None or monotonic() + pause >= deadline:
                raise OperationalError(str(problem)) from problem
            sleep(pause)
            attempt += 1

    def _too_large(self, message: Message, size: int) -> MessageTooLarge:
        return MessageTooLarge(
            f"The message of {message.task} ({message.id}) has {size:,} bytes, "
            f"the limit is {self.max_message_size:,}"
        )

    # Consumers ------------------------------------------------------------------------------------

    def consume(
        self, queues: Sequence[str], consumer_id: str, records: RecordStore | None = None
    ) -> Consumer:
        if isinstance(queues, str) or not queues:
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

    def attended(self) -> bool:
        return bool(self.pool.call("EXISTS", self.keys.attended))

    def close(self) -> None:
        self.pool.clear()


def _retry_policy(given: Mapping[str, Any] | None) -> RetryPolicy:
    fields = RetryPolicy.__struct_fields__
    policy = {name: value for name, value in (given or {}).items() if name in fields}
    for name in given or {}:
        hint = nearest(name, fields)
        if name not in fields and hint:
            raise ImproperlyConfigured(f"There is no {name!r} in a retry policy{hint}")
    return RetryPolicy(**policy)
