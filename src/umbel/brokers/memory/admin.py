"""What people ask of a memory broker. Every method is one step under the store's lock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from umbel.brokers.admin import ConsumerStatus, DeadLetter, Place, QueueAdmin, QueueStatus
from umbel.brokers.memory.store import Queue, Stored
from umbel.message import protocol
from umbel.message.message import DELIVERIES, Message

if TYPE_CHECKING:
    from umbel.brokers.memory.broker import MemoryBroker

__all__ = ["MemoryAdmin"]


class MemoryAdmin(QueueAdmin):
    """Operations for people on one store."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._store = broker.store

    def queues(self, names: Sequence[str] = ()) -> list[QueueStatus]:
        store = self._store
        with store.lock:
            store.promote(tuple(store.queues), self._broker.clock.now())
            lent = [loan.stored.queue for loan in store.loans.values()]
            empty = Queue()
            return [
                QueueStatus(
                    name=name,
                    ready=len(store.queues.get(name, empty)),
                    delayed=len(store.queues.get(name, empty).delayed),
                    lent=lent.count(name),
                    paused=name in store.paused,
                )
                for name in sorted({*names, *store.queues, *store.paused})
            ]

    def pause(self, queue: str) -> None:
        with self._store.lock:
            self._store.paused.add(queue)

    def resume(self, queue: str) -> None:
        with self._store.lock:
            self._store.paused.discard(queue)
            self._store.wake(queue)

    def paused(self) -> list[str]:
        with self._store.lock:
            return sorted(self._store.paused)

    def consumers(self) -> list[ConsumerStatus]:
        now = self._broker.clock.monotonic()
        with self._store.lock:
            return [
                ConsumerStatus(
                    id=seat.id,
                    queues=seat.queues,
                    silent_for=max(0.0, now - seat.heard),
                    lent=len(seat.loans),
                )
                for seat in sorted(self._store.seats.values(), key=lambda seat: seat.id)
                if not seat.dead
            ]

    def purge(self, queue: str, limit: int = 1000) -> list[Message | None]:
        with self._store.lock:
            found = self._store.queues.get(queue, Queue())
            removed = [found.pop() for _ in range(min(limit, len(found)))]
        return [_message(stored) for stored in removed]

    # Delayed --------------------------------------------------------------------------------------

    def delayed(self, queue: str | None = None, limit: int = 100) -> list[Message]:
        with self._store.lock:
            names = list(self._store.queues) if queue is None else [queue]
            self._store.promote(names, self._broker.clock.now())
            waiting = [sorted(self._store.queues.get(name, Queue()).delayed) for name in names]
        moments = ((due, _message(stored)) for due, _, stored in merge(*waiting))
        listed = (replace(message, due=due) for due, message in moments if message is not None)
        return list(islice(listed, limit))

    def cancel(self, task_id: str) -> int:
        with self._store.lock:
            return self._store.cancel(task_id)

    # Parked ---------------------------------------------------------------------------------------

    def parked(self) -> dict[str, int]:
        with self._store.lock:
            return {task: len(waiting) for task, waiting in sorted(self._store.parked.items())}

    def expire_parked(self, older_than: float, limit: int = 100) -> list[Message]:
        now = self._broker.clock.now()
        expired: list[Stored] = []
        with self._store.lock:
            for task, waiting in list(self._store.parked.items()):
                while waiting and len(expired) < limit and now - waiting[0][0] > older_than:
                    stored = self._store.unpark(task)
                    assert stored is not None
                    self._store.bury(stored, f"NotRegistered: {task}", now)
                    expired.append(stored)
            self._broker.trim_dead()
        return [message for message in map(_message, expired) if message is not None]

    # Dead -----------------------------------------------------------------------------------------

    def dead(self, limit: int = 100, offset: int = 0) -> list[DeadLetter]:
        with self._store.lock:
            self._broker.trim_dead()
            return list(islice(reversed(self._store.dead), offset, offset + limit))

    def dead_count(self) -> int:
        with self._store.lock:
            self._broker.trim_dead()
            return len(self._store.dead)

    def revive(self, ids: Sequence[str]) -> int:
        wanted = set(ids)
        with self._store.lock:
            revived = [
                (letter, message)
                for letter in self._store.dead
                if letter.id in wanted and (message := _message(letter)) is not None
            ]
            self._broker.keep(self._broker.prepare([_fresh(message) for _, message in revived]))
            for letter, _ in revived:
                self._store.dead.remove(letter)
        return len(revived)

    def drop(self, ids: Sequence[str]) -> int:
        wanted = set(ids)
        with self._store.lock:
            dropped = [letter for letter in self._store.dead if letter.id in wanted]
            for letter in dropped:
                self._store.dead.remove(letter)
        return len(dropped)

    # Anywhere -------------------------------------------------------------------------------------

    def locate(self, task_id: str) -> Place | None:
        with self._store.lock:
            self._store.promote(tuple(self._store.queues), self._broker.clock.now())
            return next(self._places(task_id), None)

    def _places(self, task_id: str) -> Iterator[Place]:
        yield from self._waiting(task_id)
        for loan in self._store.loans.values():
            if loan.stored.id == task_id:
                yield _place("lent", loan.stored, detail=loan.seat.id)
        for parked in self._store.parked.values():
            yield from (_place("parked", one) for _, one in parked if one.id == task_id)
        for letter in reversed(self._store.dead):
            if letter.id == task_id:
                yield _place("dead", letter, moment=letter.died_at, detail=letter.reason)

    def _waiting(self, task_id: str) -> Iterator[Place]:
        for queue in self._store.queues.values():
            yield from (_place("ready", one) for one in queue if one.id == task_id)
            for due, _, stored in queue.delayed:
                if stored.id == task_id:
                    yield _place("delayed", stored, moment=due)


def _place(
    where: Literal["ready", "delayed", "lent", "parked", "dead"],
    kept: Stored | DeadLetter,
    *,
    moment: float | None = None,
    detail: str = "",
) -> Place:
    message = _message(kept)
    return Place(where=where, queue=kept.queue, message=message, moment=moment, detail=detail)


def _message(kept: Stored | DeadLetter) -> Message | None:
    return protocol.read_message(kept.raw, kept.queue)[0]


def _fresh(message: Message) -> Message:
    """The message as if it had never run: counters at 0, no expiry, no delay."""
    headers = {"retries": 0, "expires": None}
    headers |= {name: 0 for name in (DELIVERIES,) if name in message.headers}
    headers |= {name: False for name in ("redelivered",) if name in message.headers}
    properties = {name: one for name, one in message.properties.items() if name != "expiration"}
    return replace(protocol.resend(message, headers=headers, due=None), properties=properties)
