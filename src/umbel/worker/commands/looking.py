"""Commands that tell what a node is and does, with Celery's names and forms of reply."""

from __future__ import annotations

import gc
import os
import platform
import resource
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from umbel.drivers.url import hide_password
from umbel.message.message import Message
from umbel.message.stamps import is_stamp
from umbel.version import VERSION
from umbel.worker.commands.registry import inspect_command
from umbel.worker.commands.state import NodeState
from umbel.worker.request import ReceivedRequest

__all__: list[str] = []

#: What ``registered`` may tell of a task, when it is asked for it.
_DEFAULT_ATTRIBUTES = ("exchange", "routing_key", "rate_limit")
#: Options are values; what else a task has is nobody's business.
_TOLD_OF_TASKS = (str, int, float, list, tuple, dict)
#: Delayed messages that ``scheduled`` tells of at most.
_SCHEDULED_MOST = 1000


@inspect_command(default_timeout=0.2)
def ping(_state: NodeState) -> dict[str, str]:
    """Say that this node is there."""
    return {"ok": "pong"}


@inspect_command()
def clock(state: NodeState) -> dict[str, int]:
    """The node's logical clock."""
    return {"clock": state.app.clock.value}


@inspect_command(alias="dump_active", args=[("safe", bool)], signature="[SAFE]")
def active(state: NodeState, safe: bool = False) -> list[dict[str, Any]]:
    """The tasks that run now. ``safe``: arguments as text."""
    return [one for told in state.lines.ask("active", safe=safe) for one in told or ()]


@inspect_command(alias="dump_reserved", args=[("safe", bool)], signature="[SAFE]")
def reserved(state: NodeState, safe: bool = False) -> list[dict[str, Any]]:
    """The tasks that were taken and wait for a free slot."""
    return [one for told in state.lines.ask("reserved", safe=safe) for one in told or ()]


@inspect_command(alias="dump_schedule")
def scheduled(state: NodeState) -> list[dict[str, Any]]:
    """The tasks of this node's queues that wait for their moment. They wait in the broker, for
    whichever node is there then; so every node of a queue tells of them."""
    admin = state.worker.broker.admin
    delayed = (admin.delayed(queue, _SCHEDULED_MOST) for queue in state.queues)
    return [_scheduled(state, message) for messages in delayed for message in messages]


def _scheduled(state: NodeState, message: Message) -> dict[str, Any]:
    moment = datetime.fromtimestamp(message.due, UTC).isoformat() if message.due else None
    return {"eta": moment, "priority": message.priority, "request": _request(state, message)}


def _request(state: NodeState, message: Message) -> dict[str, Any]:
    options = state.worker.options
    task = options.tasks.get(message.task)
    return ReceivedRequest(message, task, options.node, options.accept).info()


@inspect_command(alias="dump_revoked")
def revoked(state: NodeState) -> list[str]:
    """The ids of the tasks that may not start, on any node."""
    return _revoked(state)


def _revoked(state: NodeState) -> list[str]:
    return sorted(one for one in state.worker.broker.revoked() if not is_stamp(one))


@inspect_command(
    alias="dump_tasks",
    variadic="taskinfoitems",
    signature="[attr1 [attr2 … [attrN]]]",
)
def registered(
    state: NodeState, taskinfoitems: Sequence[str] | None = None, builtins: bool = False
) -> list[str]:
    """The names of the tasks that this node runs, with those of these attributes that are set."""
    tasks = state.worker.options.tasks
    names = sorted(name for name in tasks if builtins or not name.startswith("celery."))
    return [
        _with_attributes(name, tasks[name], taskinfoitems or _DEFAULT_ATTRIBUTES) for name in names
    ]


def _with_attributes(name: str, task: Any, attributes: Iterable[str]) -> str:
    values = ((one, getattr(task, one, None)) for one in attributes if not one.startswith("_"))
    told = [f"{one}={value}" for one, value in values if isinstance(value, _TOLD_OF_TASKS)]
    return f"{name} [{' '.join(told)}]" if told else name


@inspect_command(
    alias="dump_conf", args=[("with_defaults", bool)], signature="[include_defaults=False]"
)
def conf(state: NodeState, with_defaults: bool = False) -> dict[str, Any]:
    """The settings of this node; secrets are masked."""
    table = state.app.conf.table(with_defaults=with_defaults, censored=True)
    return {name: _plain(value) for name, value in table.items()}


@inspect_command()
def report(state: NodeState) -> dict[str, str]:
    """Versions, platform and changed settings, for a bug report."""
    app, worker = state.app, state.worker
    lines = [
        f"umbel {VERSION}, Python {platform.python_version()}, {platform.platform()}",
        f"app: {app.main or '(none)'}",
        f"broker: {worker.broker.display_url}",
        f"pool: {worker.options.pool}",
        "settings:",
        app.conf.humanize(with_defaults=False, censored=True),
    ]
    return {"ok": "\n".join(lines)}


@inspect_command(variadic="ids", signature="[id1 [id2 … [idN]]]")
def query_task(state: NodeState, ids: Sequence[str] | str | None = None) -> dict[str, list[Any]]:
    """Those of these tasks that this node runs or has taken: id -> [state, request]."""
    wanted = [ids] if isinstance(ids, str) else list(ids or ())
    found: dict[str, list[Any]] = {}
    for told in state.lines.ask("find", ids=wanted):
        found |= told or {}
    return found


@inspect_command()
def active_queues(state: NodeState) -> list[dict[str, Any]]:
    """The queues that this node takes messages of."""
    return [_queue(state, name) for name in state.queues]


def _queue(state: NodeState, name: str) -> dict[str, Any]:
    queue = state.app.router.queue(name)
    exchange = queue.exchange
    return {
        "name": name,
        "exchange": {
            "name": exchange.name if exchange is not None else name,
            "type": exchange.type if exchange is not None else "direct",
            "durable": True,
        },
        "routing_key": queue.routing_key or name,
        "durable": queue.durable,
        "exclusive": False,
        "auto_delete": queue.auto_delete,
        "no_ack": False,
        "queue_arguments": queue.queue_arguments,
        "alias": queue.alias,
        "bindings": [],
    }


@inspect_command()
def stats(state: NodeState) -> dict[str, Any]:
    """What this node has done, its pool, its broker and what it uses of the machine."""
    worker = state.worker
    total: Counter[str] = Counter()
    for told in (*state.lines.ask("totals"), state.lines.totals):
        total.update(told or {})
    broker = worker.broker.display_url
    scaler = worker.autoscaler
    return {
        "total": dict(total),
        "pid": os.getpid(),
        "clock": str(state.app.clock.value),
        "uptime": round(time.time() - state.started_at),
        "prefetch_count": worker.options.prefetch or 0,
        "pool": _pool(worker),
        "broker": {"hostname": _host(broker), "transport": broker.partition(":")[0], "url": broker},
        "rusage": _usage(),
        **({} if scaler is None else {"autoscaler": scaler.status}),
    }


def _pool(worker: Any) -> dict[str, Any]:
    options, board = worker.options, worker.board
    children = worker.supervisor.children
    processes = sorted(children) or [os.getpid()]
    return {
        "implementation": f"umbel.worker.pools:{options.pool}",
        "max-concurrency": len(processes) * board.slots_each,
        "processes": processes,
        "max-tasks-per-child": options.max_jobs_per_child or "N/A",
        "put-guarded-by-semaphore": False,
        "timeouts": [options.soft_time_limit or 0, options.time_limit or 0],
        "writes": {},
    }


def _host(url: str) -> str:
    place = hide_password(url).partition("://")[2].rpartition("@")[2]
    return place.partition("/")[0]


def _usage() -> dict[str, Any]:
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return {
        "utime": own.ru_utime + children.ru_utime,
        "stime": own.ru_stime + children.ru_stime,
        "maxrss": max(own.ru_maxrss, children.ru_maxrss),
        "minflt": own.ru_minflt,
        "majflt": own.ru_majflt,
        "nvcsw": own.ru_nvcsw,
        "nivcsw": own.ru_nivcsw,
    }


@inspect_command()
def memsample(state: NodeState) -> dict[str, float]:
    """Megabytes of memory that the supervisor and each of its processes hold now."""
    pids = [os.getpid(), *sorted(state.worker.supervisor.children)]
    return {str(pid): megabytes for pid in pids if (megabytes := _resident(pid)) is not None}


@inspect_command(args=[("samples", int)], signature="[n_samples=10]")
def memdump(state: NodeState, samples: int = 10) -> dict[str, Any]:  # noqa: ARG001 - Celery's argument
    """As ``memsample``: what is held now."""
    return memsample(state)


@inspect_command(
    args=[("num", int), ("type", str)], signature="[num=200] [type=…]", default_timeout=10.0
)
def objgraph(
    _state: NodeState,
    num: int = 20,
    max_depth: int = 10,  # noqa: ARG001 - Celery's argument
    type: str = "",  # noqa: A002 - Celery's name
) -> dict[str, int]:
    """The most frequent types of objects in the supervisor, and how many there are."""
    counted = Counter(kind.__name__ for kind in map(_kind, gc.get_objects()))
    if type:
        return {type: counted[type]}
    return dict(counted.most_common(num))


def _kind(value: Any) -> type[Any]:
    return value.__class__ if isinstance(value.__class__, type) else object


@inspect_command(visible=False)
def hello(
    state: NodeState,
    from_node: str = "",
    revoked: Any = None,  # noqa: ARG001 - every node reads the same list in the broker
    **_further: Any,
) -> dict[str, Any] | None:
    """Of nodes of Celery that start and ask for what the others know."""
    if from_node == state.hostname:
        return None
    return {"revoked": _revoked(state), "clock": state.app.clock.forward()}


def _resident(pid: int) -> float | None:
    with suppress(OSError, ValueError, IndexError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return round(pages * resource.getpagesize() / 2**20, 1)
    return None


def _plain(value: Any) -> Any:
    if isinstance(value, str | int | float | bool | None):
        return value
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    return str(value)
