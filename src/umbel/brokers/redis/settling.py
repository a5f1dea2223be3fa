"""Settlements as the exchange script wants them: keys and arguments, nothing sent yet.

Records that share the server become stores; every other consequence becomes one of a few effects
(push, delay, bury, park), so that the script knows no verdicts. Their order in the arguments is
the order at the head of ``exchange.lua``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from time import time
from typing import Any, Protocol, runtime_checkable

import msgspec

from umbel.brokers.base import Delivery, Settlement, Verdict
from umbel.brokers.redis.keys import Keys
from umbel.brokers.redis.lists import QueueLists, age_of
from umbel.drivers.redis import Address
from umbel.message.headers import make_id
from umbel.message.message import DELIVERIES, Message
from umbel.message.protocol import encode
from umbel.message.record import ResultRecord

__all__ = ["JoinedStore", "Rules", "Step", "due_of", "letter_of", "parked_member"]


@runtime_checkable
class JoinedStore(Protocol):
    """A result backend on the same server, of which a broker needs to know no more than this."""

    address: Address
    #: Lua that defines ``local function store(key, ttl, payload)``.
    store_lua: str

    def encode_record(self, record: ResultRecord) -> tuple[str, str, bytes] | None:
        """What the Lua function takes; None when this record must go through ``store_many``."""


class Rules(msgspec.Struct, frozen=True):
    """What every consumer of one broker goes by."""

    keys: Keys
    dead_limit: int
    #: Microseconds.
    dead_max_age: int
    #: Queues that are listed in ``Keys.queues`` already, as far as this process knows.
    known_queues: set[str]


class Step:
    """The settlements of one exchange, all of loans in one hash."""

    def __init__(self, rules: Rules, lists: QueueLists, store: JoinedStore | None) -> None:
        self._rules = rules
        self._lists = lists
        self._store = store
        #: Records to be stored before this step, by the loans they come with.
        self.apart: dict[str, ResultRecord] = {}
        #: In the order of the arguments.
        self.settlements: list[Settlement] = []
        self.loans: list[str] = []
        self.stores = 0
        self.effects = 0
        self.store_keys: list[str] = []
        self.store_arguments: list[Any] = []
        self.effect_keys: list[str] = []
        self.effect_arguments: list[Any] = []
        #: Named in ``Keys.queues`` once this step has been done.
        self.new_queues: set[str] = set()

    def add_all(self, settlements: Sequence[Settlement], cut: int) -> list[Settlement]:
        """Settlements whose loans' names in the hash begin at ``cut``. Returns those that are not
        the first ones of their loans."""
        unstored: list[tuple[str, Settlement]] = []
        repeated: list[Settlement] = []
        seen: set[str] = set()
        for settlement in settlements:
            field = settlement.delivery.loan[cut:]
            if field in seen:
                repeated.append(settlement)
                continue
            seen.add(field)
            if settlement.record is not None and self._add_store(field, settlement.record):
                self.settlements.append(settlement)
                self.loans.append(field)
            else:
                unstored.append((field, settlement))
        for field, settlement in unstored:
            self.settlements.append(settlement)
            self.loans.append(field)
        self._add_effects()
        return repeated

    def _add_store(self, field: str, record: ResultRecord) -> bool:
        """Whether the record goes with the settlement, not before it."""
        encoded = None if self._store is None else self._store.encode_record(record)
        if encoded is None:
            self.apart[field] = record
            return False
        key, ttl, payload = encoded
        self.store_keys.append(key)
        self.store_arguments += (ttl, payload)
        self.stores += 1
        return True

    def _add_effects(self) -> None:
        releases: list[tuple[tuple[int, int], int, Settlement]] = []
        for number, settlement in enumerate(self.settlements, 1):
            verdict = settlement.verdict
            if verdict is not Verdict.ACK:
                if verdict is Verdict.RELEASE and settlement.delay <= 0:
                    releases.append((age_of(self.loans[number - 1]), number, settlement))
                else:
                    self._add_verdict(number, settlement)
            for message in settlement.publish:
                self._add_message(number, message)
        # To the front, the youngest first: in the end the oldest is in front.
        for _, number, settlement in sorted(releases, reverse=True, key=lambda one: one[:2]):
            self._add_release(number, settlement)

    def _effect(self, kind: str, number: int, keys: Sequence[str], *arguments: Any) -> None:
        self.effects += 1
        self.effect_keys += keys
        self.effect_arguments += (kind, number, *arguments)

    def _add_message(self, number: int, message: Message) -> None:
        keys = self._rules.keys
        queue = message.queue
        due = due_of(message)
        if due is None:
            place = (keys.list_for(queue, message.priority),)
            self._effect("LPUSH", number, place, encode(message))
        else:
            level = keys.level_of(message.priority)
            identity = (message.id, due, level)
            self._effect("delay", number, keys.delayed_of(queue), *identity, encode(message))
        if queue not in self._rules.known_queues and queue not in self.new_queues:
            self.new_queues.add(queue)
            self._effect("SADD", number, (keys.queues,), queue)

    def _add_release(self, number: int, settlement: Settlement) -> None:
        place, _ = self._origin(number, settlement.delivery)
        self._effect("RPUSH", number, (place,), _returning(settlement))

    def _add_verdict(self, number: int, settlement: Settlement) -> None:
        keys, delivery = self._rules.keys, settlement.delivery
        message = delivery.message
        _, level = self._origin(number, delivery)
        if settlement.verdict is Verdict.RELEASE:
            member = message.id if message is not None else make_id()
            wait = f"+{math.ceil(settlement.delay * 1000)}"
            zset = keys.delayed_of(delivery.queue)
            self._effect("delay", number, zset, member, wait, level, _returning(settlement))
        elif settlement.verdict is Verdict.PARK and message is not None:
            parked = parked_member(message.task, delivery.queue)
            place = (keys.parked_of(parked),)
            self._effect("park", number, place, parked, level, delivery.raw)
        else:
            name = message.id if message is not None else make_id()
            reason = settlement.reason or delivery.problem
            letter = letter_of(message, delivery.queue, reason, delivery.raw)
            self._effect("bury", number, (keys.dead, keys.dead_messages), name, letter)

    def _origin(self, number: int, delivery: Delivery) -> tuple[str, str]:
        """The list that this loan came from, and its level."""
        index = int(self.loans[number - 1].rpartition(":")[2].rstrip("p"))
        if index < len(self._lists.names):
            return self._lists.names[index], self._lists.level_of(index)
        # The info of a dead consumer is gone: the message itself says where it belongs.
        priority = delivery.message.priority if delivery.message is not None else 0
        keys = self._rules.keys
        return keys.list_for(delivery.queue, priority), str(keys.level_of(priority))


def due_of(message: Message) -> int | None:
    """When a message comes due, in milliseconds; None when it is ready now."""
    if message.due is None or message.due <= time():
        return None
    return math.ceil(message.due * 1000)


def letter_of(message: Message | None, queue: str, reason: str, raw: bytes) -> bytes:
    """What is kept of a dead message: a line of JSON, then its bytes."""
    task = message.task if message is not None else None
    # The text of an exception may hold what no encoding has.
    reason = reason.encode("utf-8", "backslashreplace").decode()
    head = msgspec.json.encode({"task": task, "queue": queue, "reason": reason})
    return b"%b\n%b" % (head, raw)


def parked_member(task: str, queue: str) -> str:
    """The name under which messages of this task and queue are parked."""
    return msgspec.json.encode([task, queue]).decode()


def _returning(settlement: Settlement) -> bytes:
    """The bytes that go back to the queue."""
    delivery = settlement.delivery
    message = delivery.message
    if not settlement.counted or message is None:
        return delivery.raw
    headers = {**message.headers, DELIVERIES: message.deliveries + 1, "redelivered": True}
    return encode(msgspec.structs.replace(message, headers=headers, written=None))
