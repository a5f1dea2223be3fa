"""What people ask of Redis as a broker; reads and changes the keys of ``keys.py``.

Long lists are read in pieces, so that the server is never busy with one question for long. What
is changed after a look is changed only if it is still what was looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from umbel.brokers.admin import ConsumerStatus, DeadLetter, Place, QueueAdmin, QueueStatus
from umbel.brokers.redis import scripts
from umbel.brokers.redis.lists import Info, QueueLists
from umbel.brokers.redis.settling import letter_of
from umbel.message.message import DELIVERIES, Message
from umbel.message.protocol import encode, read_message

if TYPE_CHECKING:
    from umbel.brokers.redis.broker import RedisBroker

__all__ = ["RedisQueueAdmin", "scored"]

_PIECE: Final = 500


class RedisQueueAdmin(QueueAdmin):
    """Safe to share between threads, like its broker."""

    def __init__(self, broker: RedisBroker) -> None:
        self._broker = broker

    # Queues and consumers -------------------------------------------------------------------------

    def queues(self, names: Sequence[str] = ()) -> list[QueueStatus]:
        keys, pool = self._broker.keys, self._broker.pool
        known = {name.decode() for name in pool.call("SMEMBERS", keys.queues)}
        paused = set(self.paused())
        everyone = sorted(known | paused | set(names))
        lent = self._lent_by_queue()
        commands: list[tuple[Any, ...]] = []
        for name in everyone:
            commands += [("LLEN", place) for place in keys.lists_of(name)]
            commands.append(("ZCARD", keys.delayed_of(name)[0]))
        answers = iter(pool.pipeline(commands))
        found: list[QueueStatus] = []
        for name in everyone:
            ready = sum(next(answers) for _ in keys.lists_of(name))
            found.append(
                QueueStatus(
                    name=name,
                    ready=ready,
                    delayed=next(answers),
                    lent=lent.get(name, 0),
                    paused=name in paused,
                )
            )
        return found

    def pause(self, queue: str) -> None:
        keys = self._broker.keys
        self._broker.pool.call("SADD", keys.paused, keys.list_at(queue, 0))

    def resume(self, queue: str) -> None:
        keys = self._broker.keys
        self._broker.pool.call("SREM", keys.paused, keys.list_at(queue, 0))

    def paused(self) -> list[str]:
        keys = self._broker.keys
        names = self._broker.pool.call("SMEMBERS", keys.paused)
        return sorted(name.decode().removeprefix(keys.prefix) for name in names)

    def consumers(self) -> list[ConsumerStatus]:
        keys, pool = self._broker.keys, self._broker.pool
        (seconds, micros), scores = pool.pipeline(
            [("TIME",), ("ZRANGE", keys.consumers, 0, -1, "WITHSCORES")]
        )
        now = int(seconds) * 1000 + int(micros) // 1000
        beats = {name: score for name, score in scored(scores) if score >= 0}
        infos = self._infos()
        held = pool.pipeline([("HLEN", keys.loans_of(name)) for name in beats])
        return sorted(
            (
                ConsumerStatus(
                    id=name,
                    queues=tuple(infos[name].queues) if name in infos else (),
                    silent_for=max(now - beats[name], 0) / 1000,
                    lent=count,
                )
                for name, count in zip(beats, held, strict=True)
            ),
            key=lambda status: status.id,
        )

    def purge(self, queue: str, limit: int = 1000) -> list[Message | None]:
        removed: list[Message | None] = []
        for place in self._broker.keys.lists_of(queue):
            while len(removed) < limit:
                count = min(limit - len(removed), _PIECE)
                raws = self._broker.pool.call("RPOP", place, count) or []
                removed += [read_message(raw, queue)[0] for raw in raws]
                if len(raws) < count:
                    break
        return removed

    # Delayed --------------------------------------------------------------------------------------

    def delayed(self, queue: str | None = None, limit: int = 100) -> list[Message]:
        keys, pool = self._broker.keys, self._broker.pool
        if limit <= 0:
            return []
        names = self._queue_names() if queue is None else [queue]
        found: list[tuple[float, str, str]] = []
        answers = pool.pipeline(
            [("ZRANGE", keys.delayed_of(name)[0], 0, limit - 1, "WITHSCORES") for name in names]
        )
        for name, answer in zip(names, answers, strict=True):
            found += [(due, name, member) for member, due in scored(answer)]
        listed: list[Message] = []
        for due, name, member in sorted(found)[:limit]:
            message = self._delayed_message(name, member, due)
            if message is not None:
                listed.append(message)
        return listed

    def cancel(self, task_id: str) -> int:
        keys, pool = self._broker.keys, self._broker.pool
        removed = 0
        for queue in self._queue_names():
            places = keys.delayed_of(queue)
            for member, kept in self._delayed_of(queue, task_id):
                removed += pool.eval(scripts.CANCEL, places, (member, kept))
        return removed

    # Parked ---------------------------------------------------------------------------------------

    def parked(self) -> dict[str, int]:
        keys, pool = self._broker.keys, self._broker.pool
        members = self._parked_members()
        counts = pool.pipeline([("LLEN", keys.parked_of(member)) for member, _, _ in members])
        found: dict[str, int] = {}
        for (_, task, _), count in zip(members, counts, strict=True):
            if count:
                found[task] = found.get(task, 0) + count
        return dict(sorted(found.items()))

    def expire_parked(self, older_than: float, limit: int = 100) -> list[Message]:
        keys, pool = self._broker.keys, self._broker.pool
        seconds, micros = pool.call("TIME")
        before = int(seconds) * 1000 + int(micros) // 1000 - older_than * 1000
        expired: list[Message] = []
        for member, task, queue in self._parked_members():
            entries = pool.call("LRANGE", keys.parked_of(member), -limit, -1)
            for entry in reversed(entries):
                parked_at, _, raw = _parked_entry(entry)
                if parked_at > before or len(expired) >= limit:
                    break
                message, _ = read_message(raw, queue)
                if message is None:
                    continue
                letter = letter_of(message, queue, f"NotRegistered: {task}", raw)
                if self._expire(member, entry, message.id, letter):
                    expired.append(message)
        return expired

    # Dead -----------------------------------------------------------------------------------------

    def dead(self, limit: int = 100, offset: int = 0) -> list[DeadLetter]:
        keys, pool = self._broker.keys, self._broker.pool
        if limit <= 0:
            return []
        found = pool.call("ZREVRANGE", keys.dead, offset, offset + limit - 1, "WITHSCORES")
        letters = scored(found)
        if not letters:
            return []
        kept = pool.call("HMGET", keys.dead_messages, *(name for name, _ in letters))
        return [
            _dead_letter(name, score, letter)
            for (name, score), letter in zip(letters, kept, strict=True)
            if letter is not None
        ]

    def dead_count(self) -> int:
        count: int = self._broker.pool.call("ZCARD", self._broker.keys.dead)
        return count

    def revive(self, ids: Sequence[str]) -> int:
        keys, pool = self._broker.keys, self._broker.pool
        revived = 0
        for name in ids:
            letter = pool.call("HGET", keys.dead_messages, name)
            if letter is None:
                continue
            dead = _dead_letter(name, 0, letter)
            message, _ = read_message(dead.raw, dead.queue)
            if message is None:
                continue
            place = keys.list_for(dead.queue, message.priority)
            where = (keys.dead, keys.dead_messages, place)
            revived += pool.eval(scripts.REVIVE, where, (name, letter, encode(_afresh(message))))
        return revived

    def drop(self, ids: Sequence[str]) -> int:
        keys = self._broker.keys
        if not ids:
            return 0
        where = (keys.dead, keys.dead_messages)
        dropped: int = self._broker.pool.eval(scripts.DROP, where, list(ids))
        return dropped

    # One task -------------------------------------------------------------------------------------

    def locate(self, task_id: str) -> Place | None:
        return (
            self._among_delayed(task_id)
            or self._among_lent(task_id)
            or self._among_ready(task_id)
            or self._among_parked(task_id)
            or self._among_dead(task_id)
        )

    def _among_delayed(self, task_id: str) -> Place | None:
        keys, pool = self._broker.keys, self._broker.pool
        for queue in self._queue_names():
            for member, kept in self._delayed_of(queue, task_id):
                score = pool.call("ZSCORE", keys.delayed_of(queue)[0], member)
                message, _ = read_message(kept[2:], queue)
                moment = None if score is None else float(score) / 1000
                return Place(where="delayed", queue=queue, message=message, moment=moment)
        return None

    def _among_lent(self, task_id: str) -> Place | None:
        keys, pool = self._broker.keys, self._broker.pool
        for consumer_id, info in self._infos().items():
            lists = QueueLists(keys, info.queues, info.levels)
            for field, raw in _pairs(pool.call("HGETALL", keys.loans_of(consumer_id))):
                loan = lists.delivery(consumer_id, field.decode(), raw)
                if loan.message is not None and loan.message.id == task_id:
                    return Place(
                        where="lent", queue=loan.queue, message=loan.message, detail=consumer_id
                    )
        return None

    def _among_ready(self, task_id: str) -> Place | None:
        keys = self._broker.keys
        for queue in self._queue_names():
            for place in keys.lists_of(queue):
                for raw in self._entries(place):
                    message, _ = read_message(raw, queue)
                    if message is not None and message.id == task_id:
                        return Place(where="ready", queue=queue, message=message)
        return None

    def _among_parked(self, task_id: str) -> Place | None:
        for member, _, queue in self._parked_members():
            for entry in self._entries(self._broker.keys.parked_of(member)):
                message, _ = read_message(_parked_entry(entry)[2], queue)
                if message is not None and message.id == task_id:
                    return Place(where="parked", queue=queue, message=message)
        return None

    def _among_dead(self, task_id: str) -> Place | None:
        keys, pool = self._broker.keys, self._broker.pool
        score, letter = pool.pipeline(
            [("ZSCORE", keys.dead, task_id), ("HGET", keys.dead_messages, task_id)]
        )
        if score is None or letter is None:
            return None
        dead = _dead_letter(task_id, float(score), letter)
        return Place(
            where="dead",
            queue=dead.queue,
            message=read_message(dead.raw, dead.queue)[0],
            moment=dead.died_at,
            detail=dead.reason,
        )

    # Reading --------------------------------------------------------------------------------------

    def _queue_names(self) -> list[str]:
        names = self._broker.pool.call("SMEMBERS", self._broker.keys.queues)
        return sorted(name.decode() for name in names)

    def _infos(self) -> dict[str, Info]:
        answer = self._broker.pool.call("HGETALL", self._broker.keys.infos)
        return {
            name.decode(): msgspec.json.decode(info, type=Info) for name, info in _pairs(answer)
        }

    def _lent_by_queue(self) -> dict[str, int]:
        keys = self._broker.keys
        infos = self._infos()
        answers = self._broker.pool.pipeline([("HKEYS", keys.loans_of(name)) for name in infos])
        counts: dict[str, int] = {}
        for info, fields in zip(infos.values(), answers, strict=True):
            lists = QueueLists(keys, info.queues, info.levels)
            for field in fields:
                queue = lists.queue_of(int(field.rpartition(b":")[2].rstrip(b"p")))
                counts[queue] = counts.get(queue, 0) + 1
        return counts

    def _entries(self, place: str) -> Iterator[bytes]:
        """A list from its right end, in pieces. What moves meanwhile may be missed."""
        last = -1
        while True:
            piece = self._broker.pool.call("LRANGE", place, last - _PIECE + 1, last)
            yield from reversed(piece)
            if len(piece) < _PIECE:
                return
            last -= _PIECE

    def _delayed_message(self, queue: str, member: str, due: float) -> Message | None:
        messages = self._broker.keys.delayed_of(queue)[1]
        kept = self._broker.pool.call("HGET", messages, member)
        message = None if kept is None else read_message(kept[2:], queue)[0]
        return None if message is None else msgspec.structs.replace(message, due=due / 1000)

    def _delayed_of(self, queue: str, task_id: str) -> list[tuple[str, bytes]]:
        """Members for this task id, twins too, with what they hold."""
        _, messages, _, twins = self._broker.keys.delayed_of(queue)
        highest = int(self._broker.pool.call("HGET", twins, task_id) or 0)
        members = [task_id, *(f"{task_id}#{number}" for number in range(1, highest + 1))]
        kept = self._broker.pool.call("HMGET", messages, *members)
        found: list[tuple[str, bytes]] = []
        for member, value in zip(members, kept, strict=True):
            message = None if value is None else read_message(value[2:], queue)[0]
            if message is not None and message.id == task_id:
                found.append((member, value))
        return found

    def _parked_members(self) -> list[tuple[str, str, str]]:
        """Member, task and queue."""
        members = self._broker.pool.call("SMEMBERS", self._broker.keys.parked)
        return sorted((member.decode(), *msgspec.json.decode(member)) for member in members)

    def _expire(self, member: str, entry: bytes, task_id: str, letter: bytes) -> bool:
        keys, rules = self._broker.keys, self._broker.rules
        where = (keys.parked, keys.parked_of(member), keys.dead, keys.dead_messages)
        bounds = (rules.dead_limit, rules.dead_max_age)
        what = (member, entry, task_id, letter, *bounds)
        return bool(self._broker.pool.eval(scripts.EXPIRE_PARKED, where, what))


def _pairs(answer: Any) -> list[tuple[bytes, bytes]]:
    """A hash, which is a mapping in RESP3 and a flat list in RESP2."""
    if isinstance(answer, dict):
        return list(answer.items())
    return list(zip(answer[::2], answer[1::2], strict=True))


def scored(answer: Any) -> list[tuple[str, float]]:
    """Members and scores, which are pairs in RESP3 and a flat list in RESP2."""
    if answer and isinstance(answer[0], list):
        return [(member.decode(), float(score)) for member, score in answer]
    return [
        (member.decode(), float(score))
        for member, score in zip(answer[::2], answer[1::2], strict=True)
    ]


def _parked_entry(entry: bytes) -> tuple[int, bytes, bytes]:
    """When it was parked (ms), its level, its bytes."""
    parked_at, level, raw = entry.split(b"|", 2)
    return int(parked_at), level, raw


def _dead_letter(name: str, score: float, letter: bytes) -> DeadLetter:
    head, _, raw = letter.partition(b"\n")
    told = msgspec.json.decode(head)
    return DeadLetter(
        id=name,
        task=told["task"],
        queue=told["queue"],
        reason=told["reason"],
        died_at=score / 1e6,
        raw=raw,
    )


def _afresh(message: Message) -> Message:
    """As if it had just been sent, to run now."""
    headers = {
        name: value
        for name, value in message.headers.items()
        if name not in (DELIVERIES, "redelivered")
    }
    headers |= {"retries": 0, "expires": None, "eta": None}
    properties = {name: value for name, value in message.properties.items() if name != "expiration"}
    changes = {"headers": headers, "properties": properties, "due": None, "written": None}
    return msgspec.structs.replace(message, **changes)
