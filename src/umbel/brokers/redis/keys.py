"""Names of everything that the broker keeps in Redis: the layout, on one page.

Queue lists carry kombu's names, so that Celery's clients and workers find them; all else begins
with ``umbel:``. Every key gets the global prefix here and nowhere else.

    <queue>, <queue>\\x06\\x16N     list     ready messages of level 0, of level N; sent left, taken right
    _kombu.binding.<exchange>     set      <key>\\x06\\x16<pattern>\\x06\\x16<queue>: kombu's, for Celery's senders
    _kombu.binding_permanent.<exchange> set  the same; kombu keeps these for ever
    umbel:queues                  set      names of all queues ever used
    umbel:attended                string   some consumer registered once
    umbel:consumers               zset     id -> last beat (server time, ms); below 0: declared dead then
    umbel:consumer:info           hash     id -> JSON of queues, lists (by index), host, pid, since
    umbel:consumer:fence          hash     id -> token of the connection that may take messages
    umbel:loans:<id>              hash     loan -> raw message
    umbel:delayed:<queue>         zset     member -> due (ms); the member is the task id, or id#n for twins
    umbel:delayed.messages:<queue> hash    member -> "<level>|" + raw message
    umbel:delayed.next:<queue>    string   the earliest due moment (ms), or earlier
    umbel:delayed.twins:<queue>   hash     task id -> highest n in use
    umbel:revoked                 zset     task id -> until when it may not start (ms)
    umbel:dead                    zset     id -> died at (ms)
    umbel:dead:messages           hash     id -> JSON line with task, queue, reason; then the raw message
    umbel:paused                  set      names of the level 0 lists of queues that lend nothing
    umbel:parked                  set      JSON [task, queue]
    umbel:parked:<JSON>           list     "<parked at, ms>|<level>|" + raw; the oldest at the right
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from umbel.exceptions import ImproperlyConfigured

__all__ = ["SEPARATOR", "DelayedKeys", "Keys", "Order"]

#: kombu's, between the queue and the level.
SEPARATOR: Final = "\x06\x16"

Order: TypeAlias = Literal["umbel", "celery"]

#: zset, messages, next and twins of one queue.
DelayedKeys: TypeAlias = tuple[str, str, str, str]

_LEVELS: Final[dict[str, str]] = {"umbel": "9876543210", "celery": "0369"}
#: The last level of each priority.
_LEVEL_OF: Final[dict[str, tuple[int, ...]]] = {
    "umbel": tuple(range(10)),
    "celery": (0, 0, 0, 3, 3, 3, 6, 6, 6, 9),
}
#: Where lists may lie, whatever order the senders follow.
ALL_LEVELS: Final = range(10)
#: Lists whose names are remembered, for senders; a program may make up queues without end.
_PLACES: Final = 1000


class Keys:
    """``prefix`` is kombu's ``global_keyprefix``."""

    def __init__(self, prefix: str = "", order: Order = "umbel") -> None:
        if order not in _LEVELS:
            raise ImproperlyConfigured(f"priority_order must be 'umbel' or 'celery', not {order!r}")
        self.prefix = prefix
        #: Levels in the order in which they are served.
        self.levels = _LEVELS[order]
        self._level_of = _LEVEL_OF[order]
        self._places: dict[tuple[str, int], str] = {}
        self.queues = f"{prefix}umbel:queues"
        self.attended = f"{prefix}umbel:attended"
        self.consumers = f"{prefix}umbel:consumers"
        self.infos = f"{prefix}umbel:consumer:info"
        self.fences = f"{prefix}umbel:consumer:fence"
        self.dead = f"{prefix}umbel:dead"
        self.dead_messages = f"{prefix}umbel:dead:messages"
        self.parked = f"{prefix}umbel:parked"
        self.paused = f"{prefix}umbel:paused"
        self.revoked = f"{prefix}umbel:revoked"

    def level_of(self, priority: int) -> int:
        """The level of the list for messages of this priority."""
        return self._level_of[min(max(priority, 0), 9)]

    def list_at(self, queue: str, level: int) -> str:
        """The list of this queue and level."""
        if level:
            return f"{self.prefix}{queue}{SEPARATOR}{level}"
        return f"{self.prefix}{queue}"

    def list_for(self, queue: str, priority: int) -> str:
        """Where a message of this priority is sent."""
        place = self._places.get((queue, priority))
        if place is None:
            place = self.list_at(queue, self.level_of(priority))
            if len(self._places) < _PLACES:
                self._places[queue, priority] = place
        return place

    def lists_of(self, queue: str) -> list[str]:
        """Every list that this queue may have, in the order in which they are served; those that
        only another order would serve come last."""
        served = [int(level) for level in self.levels]
        rest = [level for level in ALL_LEVELS if level not in served]
        return [self.list_at(queue, level) for level in (*served, *rest)]

    def bindings_of(self, exchange: str) -> tuple[str, str]:
        """Where kombu looks for the queues of an exchange, and what it does not clear away."""
        head = f"{self.prefix}_kombu.binding"
        return f"{head}.{exchange}", f"{head}_permanent.{exchange}"

    def loans_of(self, consumer_id: str) -> str:
        """What this consumer holds."""
        return f"{self.prefix}umbel:loans:{consumer_id}"

    def delayed_of(self, queue: str) -> DelayedKeys:
        """zset, messages, next and twins."""
        head = f"{self.prefix}umbel:delayed"
        return (
            f"{head}:{queue}",
            f"{head}.messages:{queue}",
            f"{head}.next:{queue}",
            f"{head}.twins:{queue}",
        )

    def parked_of(self, member: str) -> str:
        """The messages of one member of ``parked``."""
        return f"{self.parked}:{member}"
