"""The script calls of one consumer: what each sends, in which order, on the consumer's connection.

Knows the fence (``instance`` and the number of the connection) and names the loans; what an answer
means is decided by ``consumer.py``.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from time import time
from typing import Any

import msgspec

from umbel.brokers.redis import scripts
from umbel.brokers.redis.lists import Info, QueueLists
from umbel.brokers.redis.settling import JoinedStore, Rules, Step
from umbel.drivers.redis import Link

__all__ = ["TRACKING", "Calls"]

#: For each new connection of a consumer: the server tells when a key changes that was read by a
#: command for which it was asked to remember the keys. Own changes are not told.
TRACKING = ("CLIENT", "TRACKING", "ON", "OPTIN", "NOLOOP")
REMEMBER = ("CLIENT", "CACHING", "YES")


class Calls:
    """``heir``: on behalf of a consumer that is declared dead, and only while it is."""

    def __init__(
        self,
        link: Link,
        rules: Rules,
        lists: QueueLists,
        joined: JoinedStore | None,
        *,
        heir: bool,
    ) -> None:
        self.link = link
        self._exchange = scripts.exchange_with("" if joined is None else joined.store_lua)
        self._rules = rules
        self._keys = rules.keys
        self._lists = lists
        #: '' when records go to the database of the messages.
        self._store_db: int | str = ""
        if joined is not None and joined.address.db != link.address.db:
            self._store_db = joined.address.db
        self._role = "heir" if heir else ""
        delayed = [key for queue in lists.queues for key in rules.keys.delayed_of(queue)]
        self._queue_keys = [*lists.names, *delayed]
        following = [rules.keys.delayed_of(queue)[2] for queue in lists.queues]
        self._watched = [rules.keys.parked, rules.keys.paused, *lists.names, *following]
        self._before_level_0 = max(lists.levels.find("0"), 0)
        #: In the fence and in every loan; never again.
        self._instance = os.urandom(6).hex()
        self._connections = 0
        self._turns = 0

    def register(self, consumer_id: str, mode: str) -> list[Any]:
        """``register.lua``. A new fence shuts out what an earlier connection has still on the way."""
        self._connections += 1
        keys, lists = self._keys, self._lists
        info = Info(
            queues=list(lists.queues),
            levels=lists.levels,
            lists=lists.names,
            hostname=socket.gethostname(),
            pid=os.getpid(),
            since=time(),
        )
        where = (
            keys.consumers,
            keys.infos,
            keys.fences,
            keys.attended,
            keys.queues,
            keys.loans_of(consumer_id),
        )
        described = msgspec.json.encode(info)
        what = (consumer_id, self._instance, self._connections, mode, described)
        answer: list[Any] = self.link.eval(scripts.REGISTER, where, [*what, *lists.queues])
        return answer

    def exchange(
        self, consumer_id: str, step: Step, limit: int, turn: int
    ) -> tuple[str, list[Any]]:
        """``exchange.lua``; also what the names of new loans begin with."""
        keys, rules = self._keys, self._rules
        prefix = self._next_prefix()
        answer: list[Any] = self.link.eval(
            self._exchange,
            [
                keys.fences,
                keys.loans_of(consumer_id),
                keys.parked,
                keys.paused,
                *self._queue_keys,
                *step.store_keys,
                *step.effect_keys,
            ],
            [
                consumer_id,
                self._fence,
                limit,
                prefix,
                len(self._lists.queues),
                self._lists.levels,
                turn,
                len(step.loans),
                step.stores,
                step.effects,
                self._store_db,
                self.link.address.db,
                rules.dead_limit,
                rules.dead_max_age,
                *step.loans,
                *step.store_arguments,
                *step.effect_arguments,
            ],
        )
        if answer[0] != b"stale" and not answer[1] and not answer[2]:
            rules.known_queues.update(step.new_queues)
        return prefix, answer

    def held(self, consumer_id: str, fields: Sequence[str]) -> list[str]:
        """Which of these loans have not ended."""
        where = self._keys.loans_of(consumer_id)
        found = self.link.pipeline(("HEXISTS", where, field) for field in fields)
        return [field for field, there in zip(fields, found, strict=True) if there]

    def watch(self) -> tuple[int, int]:
        """``watch.lua``; from now on the server tells this connection when there is news."""
        answer = self.link.eval(
            scripts.WATCH,
            self._watched,
            (len(self._lists.names), self._before_level_0),
            first=REMEMBER,
        )
        return answer[0], answer[1]

    def parked(self) -> list[bytes]:
        """The members of the parked set."""
        return list(self.link.call("SMEMBERS", self._keys.parked))

    def unpark(self, consumer_id: str, members: Sequence[tuple[str, int]], limit: int) -> list[Any]:
        """``unpark.lua``, for members of the parked set with the numbers of their queues."""
        keys, lists = self._keys, self._lists
        places = [keys.parked_of(member) for member, _ in members]
        answer: list[Any] = self.link.eval(
            scripts.UNPARK,
            [keys.fences, keys.loans_of(consumer_id), keys.parked, keys.paused, *places],
            [
                consumer_id,
                self._fence,
                limit,
                self._next_prefix(),
                len(lists.queues),
                lists.levels,
                *(
                    part
                    for member, queue in members
                    for part in (member, queue, keys.list_at(lists.queues[queue], 0))
                ),
            ],
        )
        return answer

    def loans(self, consumer_id: str) -> dict[str, bytes]:
        """``lent.lua``: raw messages by the names of their loans."""
        keys = self._keys
        where = (keys.consumers, keys.loans_of(consumer_id))
        answer = self.link.eval(scripts.LENT, where, (consumer_id, self._role))
        return {answer[at].decode(): answer[at + 1] for at in range(0, len(answer), 2)}

    def sign_off(self, consumer_id: str) -> None:
        """``sign_off.lua``"""
        keys = self._keys
        where = (keys.consumers, keys.infos, keys.fences, keys.loans_of(consumer_id))
        self.link.eval(scripts.SIGN_OFF, where, (consumer_id, self._role))

    @property
    def _fence(self) -> str:
        return f"{self._instance}:{self._connections}"

    def _next_prefix(self) -> str:
        self._turns += 1
        return f"{self._instance}-{self._turns}-"
