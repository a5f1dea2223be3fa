"""What the settings say about a worker, as plain values: the one place between them and it."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from umbel.app.queues import worker_direct
from umbel.brokers.base import Binding
from umbel.brokers.private import private_queue
from umbel.exceptions import ImproperlyConfigured
from umbel.message.serializers import accepted_types
from umbel.signals import worker_process_init

if TYPE_CHECKING:
    from umbel.app.app import Umbel

__all__ = ["node_name", "worker_values"]

#: Bytes; consumer ids, which begin with it, have to fit on the worker's board.
LONGEST_NODE = 80


def worker_values(
    app: Umbel,
    *,
    queues: Sequence[str] = (),
    exclude: Sequence[str] = (),
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
    node = node_name(hostname)
    return {
        "node": node,
        **_queue_values(app, node, queues, exclude),
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
        "limit_rates": not conf.worker_disable_rate_limits,
        "max_jobs_per_child": conf.worker_max_tasks_per_child,
        "max_deliveries": conf.task_max_deliveries,
        "heartbeat_interval": conf.worker_heartbeat_interval,
        "heartbeat_limit": conf.worker_heartbeat_limit,
        "max_memory_per_child": conf.worker_max_memory_per_child,
        "drain_timeout": conf.worker_drain_timeout,
        "soft_timeout": conf.worker_soft_shutdown_timeout,
        "soft_when_idle": conf.worker_enable_soft_shutdown_on_idle,
        "parked_limit": conf.worker_unknown_task_timeout,
        "retry_on_startup": conf.broker_connection_retry_on_startup is not False,
        "health_address": conf.worker_health_address,
        "app": app if conf.worker_enable_remote_control else None,
        "control_exchange": conf.control_exchange,
        "send_events": conf.worker_send_task_events,
        "event_exchange": conf.event_exchange,
        "clock": app.clock,
        "middlewares": tuple(app.middlewares),
        "process_started": (*app.process_started, partial(_announce_process, app, hostname)),
    }


def _queue_values(
    app: Umbel, node: str, queues: Sequence[str], exclude: Sequence[str]
) -> dict[str, Any]:
    """What this node reads. Of a broadcast it has a queue of its own, and with ``worker_direct``
    one that is named after it."""
    router, known = app.router, app.amqp.queues
    names = known.without(known.named(queues) if queues else app.queues, exclude)
    if not names:
        raise ImproperlyConfigured("No queue is left for the worker to read")
    bindings = router.bindings(names)
    private = {name: private_queue(name, node) for name in names if name in router.broadcasts}
    read = [private.get(name, name) for name in names]
    if app.conf.worker_direct:
        own = worker_direct(node)
        read.append(own.name)
        bindings.append(Binding(own.exchange.name, "direct", own.routing_key, own.name))
    return {
        "queues": tuple(read),
        "bindings": tuple(bindings),
        "private_queues": tuple(private.values()),
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


def _announce_process(app: Umbel, hostname: str | None) -> None:
    app.on_after_fork.send(sender=app)
    worker_process_init.send(sender=node_name(hostname))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
