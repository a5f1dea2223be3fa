"""The lists that one consumer takes from, and the loans that are named after them.

A loan is ``<consumer id>/<instance>-<exchange>-<n>:<list>``: ``instance`` is random for each
consumer object and ``exchange`` only grows, so no name ever comes again; ``list`` says where the
message came from, and thus where it goes back to, also for whoever settles it after a crash. A
``p`` at the end marks a message that had been parked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from umbel.brokers.base import Delivery
from umbel.brokers.redis.keys import Keys
from umbel.message.protocol import read_message

__all__ = ["QueueLists", "age_of"]


class QueueLists:
    """Level by level, in each level one list for every queue. Made from the info that the consumer
    registered when its loans are settled by somebody else."""

    def __init__(self, keys: Keys, queues: Sequence[str], levels: str | None = None) -> None:
        self.queues = tuple(queues)
        self.levels = keys.levels if levels is None else levels
        self.names = [
            keys.list_at(queue, int(level)) for level in self.levels for queue in self.queues
        ]

    def queue_of(self, index: int) -> str:
        """The queue of this list."""
        return self.queues[index % len(self.queues)]

    def level_of(self, index: int) -> str:
        """The level of this list, a digit."""
        return self.levels[index // len(self.queues)]

    def delivery(self, consumer_id: str, field: str, raw: bytes) -> Delivery:
        """The delivery that a field and value of a loans hash stand for."""
        place = field.rpartition(":")[2]
        parked = place.endswith("p")
        index = int(place[:-1] if parked else place)
        queue = self.queue_of(index) if index < len(self.names) else None
        message, problem = read_message(raw, queue)
        return Delivery(
            loan=f"{consumer_id}/{field}",
            queue=queue or (message.queue if message else ""),
            raw=raw,
            message=message,
            problem=problem,
            parked_before=parked,
        )

    def deliveries(
        self, consumer_id: str, prefix: str, runs: Sequence[int], raws: Sequence[bytes]
    ) -> list[Delivery]:
        """The deliveries of one exchange, whose loans are ``prefix`` with a number each."""
        found: list[Delivery] = []
        head = f"{consumer_id}/{prefix}"
        number = 0
        for at in range(0, len(runs), 2):
            index, count = runs[at], runs[at + 1]
            queue = self.queue_of(index)
            for raw in raws[number : number + count]:
                message, problem = read_message(raw, queue)
                found.append(
                    Delivery(
                        loan=f"{head}{number}:{index}",
                        queue=queue,
                        raw=raw,
                        message=message,
                        problem=problem,
                    )
                )
                number += 1
        return found


class Info(msgspec.Struct, frozen=True, kw_only=True):
    """What a consumer says of itself when it registers."""

    queues: list[str]
    levels: str
    lists: list[str]
    hostname: str
    pid: int
    since: float


def age_of(field: str) -> tuple[int, int]:
    """Sorts loans of one instance: the earlier lent, the smaller."""
    _, exchange, rest = field.rsplit("-", 2)
    return int(exchange), int(rest.partition(":")[0])


def sorted_by_age(fields: Iterable[str]) -> list[str]:
    """The earliest lent first."""
    return sorted(fields, key=age_of)
