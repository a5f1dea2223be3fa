from __future__ import annotations

import os
from typing import Any

from django.core.cache import cache
from django.db import connection

from orders.apps import seen
from orders.models import Order
from umbel import shared_task


@shared_task
def add(x: int, y: int) -> int:
    return x + y


@shared_task
def fail() -> None:
    raise ValueError("no such order")


@shared_task
def look() -> dict[str, Any]:
    """Use the database and the cache, and say what this process has seen so far."""
    cache.set("looked", 1)
    count = Order.objects.count()
    return {
        "pid": os.getpid(),
        "orders": count,
        "connections": seen["connections"],
        "caches_closed": seen["caches_closed"],
        "queries": len(connection.queries_log),
        "inherited": seen["inherited"] is not None and connection.connection is seen["inherited"],
    }


@shared_task
def spoil() -> None:
    """Leave the connection in a state in which nobody else could use it."""
    connection.set_autocommit(False)
    Order.objects.create(name="never committed")
