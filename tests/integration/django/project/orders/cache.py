from __future__ import annotations

from django.core.cache.backends.locmem import LocMemCache

from orders.apps import seen


class CountingCache(LocMemCache):
    def close(self, **_details: object) -> None:
        seen["caches_closed"] += 1
