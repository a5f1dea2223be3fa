"""Names of the queues that one node alone reads, through which broadcasts reach it.

Senders find them among the queues of the consumers that live; workers read them.
"""

from __future__ import annotations

from umbel.brokers.base import Broker

__all__ = ["is_private", "private_queue", "private_queues"]

_HEAD = "umbel.broadcast."


def private_queue(broadcast: str, node: str) -> str:
    """The queue through which a broadcast reaches one node."""
    return f"{_HEAD}{broadcast}.{node}"


def is_private(queue: str) -> bool:
    """Whether it is such a queue."""
    return queue.startswith(_HEAD)


def private_queues(broker: Broker, broadcast: str, limit: float) -> list[str]:
    """Those of the nodes that read this broadcast now; ``limit``: seconds of silence after which a
    node is taken for dead."""
    found: dict[str, None] = {}
    for consumer in broker.admin.consumers():
        # The id is <node>/<process>/<token>.
        own = private_queue(broadcast, consumer.id.rsplit("/", 2)[0])
        if consumer.silent_for <= limit and own in consumer.queues:
            found[own] = None
    return list(found)
