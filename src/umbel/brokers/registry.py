"""From a URL to a broker: which scheme is served by which class.

Other packages add kinds with an entry point in the group ``umbel.brokers``, named after the scheme.
Connecting is left to the broker, which does so on first use.
"""

from __future__ import annotations

from typing import Any

from umbel.brokers.base import Broker
from umbel.drivers.kinds import Kinds

__all__ = ["KINDS", "open_broker"]

_SQL = "umbel.brokers.sql.broker:SqlBroker"
_REDIS = "umbel.brokers.redis.broker:RedisBroker"

KINDS = Kinds(
    noun="broker",
    group="umbel.brokers",
    paths={
        "memory": "umbel.brokers.memory:MemoryBroker",
        "sqlite": _SQL,
        "sqla+sqlite": _SQL,
        "redis": _REDIS,
        "rediss": _REDIS,
        "redis+socket": _REDIS,
        "unix": _REDIS,
    },
    extras={"redis": "redis", "rediss": "redis", "redis+socket": "redis", "unix": "redis"},
    example="redis://localhost:6379/0 or sqlite:///umbel.sqlite3",
)


def open_broker(url: str, **options: Any) -> Broker:
    """A broker for this URL, not yet connected; ``options`` are those of its constructor."""
    broker: Broker = KINDS.find(url)(url, **options)
    return broker
