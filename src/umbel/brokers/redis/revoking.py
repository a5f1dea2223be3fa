"""Which tasks may not start any more: a sorted set by the moment until which that is so. Workers see by
a counter, which every exchange returns, that there is news. It touches no message."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import time
from typing import Final

from umbel.brokers.base import REVOKED_MOST
from umbel.brokers.redis.admin import scored
from umbel.brokers.redis.keys import Keys
from umbel.drivers.redis import Pool, Script

__all__ = ["Revocations"]

_REVOKE = Script("revoke", Path(__file__).with_name("revoke.lua").read_text(encoding="utf-8"))
#: Bounds one script call.
_AT_ONCE: Final = 1000
#: The greatest moment, in milliseconds, that a score keeps exactly.
_LATEST: Final = 2**53


class Revocations:
    """The revoked tasks of one server."""

    def __init__(self, pool: Pool, keys: Keys) -> None:
        self._pool = pool
        self._keys = keys

    def add(self, ids: Sequence[str], until: float) -> None:
        """Remember these, forget what is past or too much, and raise the counter."""
        where = (self._keys.revoked, self._keys.fences)
        moment = int(min(max(until, 0.0) * 1000, _LATEST))
        for start in range(0, len(ids), _AT_ONCE):
            part = ids[start : start + _AT_ONCE]
            self._pool.eval(_REVOKE, where, (moment, REVOKED_MOST, *part))

    def read(self) -> dict[str, float]:
        """What is revoked now, and until when."""
        now = f"({time() * 1000:.0f}"
        found = self._pool.call("ZRANGEBYSCORE", self._keys.revoked, now, "+inf", "WITHSCORES")
        return {name: score / 1000 for name, score in scored(found)}
