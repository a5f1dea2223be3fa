"""What the settings say about a worker, as plain values: the one place between them and it."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from umbel.exceptions import ImproperlyConfigured
from umbel.message.serializers import accepted_types

if TYPE_CHECKING:
    from umbel.app.app import Umbel

__all__ = ["node_name", "worker_values"]

#: Bytes; consumer ids, which begin with it, have to fit on the worker's board.
LONGEST_NODE = 80


def worker_values(
    app: Umbel,
    *,
    queues: Sequence[str] = (),
    concurrency: int | None = None,
    pool: str | None = None,
    hostname: str | None = None,
) -> dict[str, Any]:
    """Keyword arguments for ``WorkerOptions``; arguments given here win over settings."""
    conf = app.conf
    pool = str(pool or conf.worker_pool)
    if conf.worker_heartbeat_limit <= conf.worker_heartbeat_interval:
        raise ImproperlyConfigured(
            f"worker_heartbeat_limit is {conf.worker_heartbeat_limit:g}, which has to be more than "
            f"worker_heartbeat_interval, {conf.worker_heartbeat_interval:g}: every worker would be "
            "taken for dead"
        )
    return {
        "node": node_name(hostname),
        "queues": tuple(queues) or tuple(app.queues),
        "tasks": app.tasks,
        "open_broker": app.open_broker,
        "open_backend": app.open_backend,
        "accept": accepted_types(conf.accept_content),
        "result_serializer": conf.result_serializer,
        "result_ttl": conf.result_expires or None,
        "result_extended": conf.result_extended,
        "pool": pool,
        "concurrency": concurrency or conf.worker_concurrency or _cores(),
        "prefetch": conf.worker_prefetch_multiplier or None,
        "time_limit": conf.task_time_limit,
        "soft_time_limit": conf.task_soft_time_limit,
        "max_jobs_per_child": conf.worker_max_tasks_per_child,
        "max_deliveries": conf.task_max_deliveries,
        "heartbeat_interval": conf.worker_heartbeat_interval,
        "heartbeat_limit": conf.worker_heartbeat_limit,
        "drain_timeout": conf.worker_drain_timeout,
        "parked_limit": conf.worker_unknown_task_timeout,
        "retry_on_startup": conf.broker_connection_retry_on_startup is not False,
        "health_address": conf.worker_health_address,
        "middlewares": tuple(app.middlewares),
        "process_started": tuple(app.process_started),
    }


def node_name(hostname: str | None) -> str:
    """``celery@host``; %h, %n and %d stand for the host, its first part and the rest."""
    host = socket.gethostname()
    first, _, rest = host.partition(".")
    name = hostname or "celery@%h"
    for sign, value in (("%h", host), ("%n", first), ("%d", rest)):
        name = name.replace(sign, value)
    node = name if "@" in name else f"{name}@{host}"
    if len(node.encode()) > LONGEST_NODE:
        raise ImproperlyConfigured(
            f"The node name {node!r} has {len(node.encode())} bytes; the limit is {LONGEST_NODE}"
        )
    return node


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
