"""The queues that one node alone reads, through which broadcasts reach it.

They hold nothing while their node is away: it empties them when it begins and when it leaves. What a
dead node left behind is thrown away by the next one that begins or leaves.
"""

from __future__ import annotations

from collections.abc import Collection

from umbel.brokers.base import Broker
from umbel.brokers.private import is_private

__all__ = ["empty_queues"]


def empty_queues(broker: Broker, own: Collection[str], limit: float) -> None:
    """Throw away what waits in these queues, and in those of nodes that were silent for ``limit``
    seconds."""
    # In this order: a queue that somebody begins to read in between counts as read.
    filled = [queue.name for queue in broker.admin.queues() if queue.ready]
    read = {
        queue
        for consumer in broker.admin.consumers()
        if consumer.silent_for <= limit
        for queue in consumer.queues
    }
    for name in filled:
        if name in own or (is_private(name) and name not in read):
            while broker.admin.purge(name):
                pass
