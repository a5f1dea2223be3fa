from __future__ import annotations

import asyncio
import gc
import os
import threading
from typing import Any

from asgiref.sync import sync_to_async
from django.core.cache import cache
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

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


@shared_task
async def look_async(seconds: float = 0.0) -> dict[str, Any]:
    """Use the database inside a coroutine, in the way that Django has for it."""
    count = await Order.objects.acount()
    await asyncio.sleep(seconds)
    again = await Order.objects.acount()
    held, thread = await sync_to_async(threads_with_connections)()
    return {"orders": [count, again], "opened": seen["connections"], "held": held, "thread": thread}


def threads_with_connections() -> tuple[int, int]:
    """Connections that are open in this process, and the thread that asks."""
    open_now = [
        one
        for one in gc.get_objects()
        if isinstance(one, BaseDatabaseWrapper) and one.connection is not None
    ]
    return len(open_now), threading.get_ident()
