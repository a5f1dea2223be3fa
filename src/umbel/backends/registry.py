"""From a URL to a result backend: which scheme is served by which class.

Other packages add kinds with an entry point in the group ``umbel.backends``, named after the
scheme. What stands for "no backend" is known to the app.
"""

from __future__ import annotations

from typing import Any

from umbel.backends.base import ResultBackend
from umbel.drivers.kinds import Kinds

__all__ = ["KINDS", "open_backend"]

_MEMORY = "umbel.backends.memory:MemoryBackend"
_SQL = "umbel.backends.sql:SqlBackend"
_REDIS = "umbel.backends.redis:RedisBackend"

KINDS = Kinds(
    noun="result backend",
    group="umbel.backends",
    paths={
        "memory": _MEMORY,
        "cache+memory": _MEMORY,
        "sqlite": _SQL,
        "db+sqlite": _SQL,
        "redis": _REDIS,
        "rediss": _REDIS,
        "redis+socket": _REDIS,
    },
    extras={"redis": "redis", "rediss": "redis", "redis+socket": "redis"},
    example="redis://localhost:6379/1 or sqlite:///umbel.sqlite3",
)


def open_backend(url: str, **options: Any) -> ResultBackend:
    """A result backend for this URL, not yet connected; ``options`` are those of its constructor."""
    backend: ResultBackend = KINDS.find(url)(url, **options)
    return backend
