"""Commands that change what a node does with tasks and queues, with Celery's names and replies."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

from umbel.message.stamps import marks_of
from umbel.result.revoking import REMEMBERED, signal_number
from umbel.spelling import nearest
from umbel.worker.commands.registry import control_command
from umbel.worker.commands.state import NodeState

__all__: list[str] = []

logger = logging.getLogger("umbel.worker")


@control_command(variadic="task_id", signature="[id1 [id2 … [idN]]]")
def revoke(
    state: NodeState,
    task_id: Any,
    terminate: bool = False,
    signal: Any = None,
    **_further: Any,
) -> dict[str, str]:
    """Let no task of these ids start. ``terminate``: end those that run."""
    ids = _ids(task_id)
    try:
        number = signal_number(signal)
    except ValueError as error:
        return {"error": f"{error}"}
    state.worker.broker.revoke(ids, time.time() + REMEMBERED)
    if not terminate:
        return {"ok": f"tasks {', '.join(ids)} flagged as revoked"}
    return _terminate(state, ids, number)


@control_command(
    args=[("signal", str)], variadic="task_id", signature="<signal> [id1 [id2 … [idN]]]"
)
def terminate(state: NodeState, signal: Any, task_id: Any, **_further: Any) -> dict[str, str]:
    """As ``revoke``, and end the tasks that run."""
    return revoke(state, task_id, terminate=True, signal=signal)


@control_command(variadic="headers", signature="[key1=value1 [key2=value2 …]]")
def revoke_by_stamped_headers(
    state: NodeState,
    headers: Any,
    terminate: bool = False,
    signal: Any = None,
    **_further: Any,
) -> dict[str, str]:
    """Let no task with one of these stamps start; ``terminate``: end those that run."""
    marks = marks_of(_headers(headers))
    state.worker.broker.revoke(sorted(marks), time.time() + REMEMBERED)
    told = f"tasks with {', '.join(sorted(marks))} flagged as revoked"
    if terminate:
        running = (one for active in state.lines.ask("active") for one in active or ())
        ids = [one["id"] for one in running if marks & marks_of(one.get("stamps"))]
        if ids:
            return revoke(state, ids, terminate=True, signal=signal)
    return {"ok": told}


@control_command(
    args=[("queue", str), ("exchange", str), ("exchange_type", str), ("routing_key", str)],
    signature="<queue> [exchange [type [routing_key]]]",
)
def add_consumer(
    state: NodeState,
    queue: str,
    exchange: str | None = None,  # noqa: ARG001 - where a message goes is the sender's business
    exchange_type: str | None = None,  # noqa: ARG001 - as above
    routing_key: str | None = None,  # noqa: ARG001 - as above
    **_options: Any,
) -> dict[str, str]:
    """Take messages of this queue as well, until the worker ends."""
    if not queue or not isinstance(queue, str):
        return {"error": "no queue is named"}
    queues = state.queues
    if queue in queues:
        return {"ok": f"already consuming from {queue!r}"}
    state.take_from([*queues, queue])
    return {"ok": f"add consumer {queue}"}


@control_command(args=[("queue", str)], signature="<queue>")
def cancel_consumer(state: NodeState, queue: str, **_further: Any) -> dict[str, str]:
    """Take no more messages of this queue, until the worker ends."""
    queues = [name for name in state.queues if name != queue]
    if len(queues) == len(state.queues):
        return {"ok": f"not consuming from {queue!r}{nearest(str(queue), state.queues)}"}
    state.take_from(queues)
    return {"ok": f"no longer consuming from {queue}"}


@control_command()
def shutdown(
    state: NodeState, msg: str = "Got shutdown from remote", **_further: Any
) -> dict[str, str]:
    """Finish what runs and end the worker."""
    logger.warning("%s", msg)
    state.leave()
    return {"ok": "shutting down"}


@control_command(visible=False)
def election(_state: NodeState, **_further: Any) -> None:
    """Of nodes of Celery that choose one among them; this one does not stand."""


def _ids(task_id: Any) -> list[str]:
    given = [task_id] if isinstance(task_id, str) else task_id
    if not isinstance(given, Iterable) or not all(isinstance(one, str) for one in given):
        raise TypeError(f"task_id has to be an id or a list of ids, not {task_id!r}")
    return list(given)


def _terminate(state: NodeState, ids: list[str], number: int) -> dict[str, str]:
    found = state.terminate(ids, number)
    if found:
        return {"ok": f"terminate: {', '.join(found)}"}
    return {"ok": f"tasks {', '.join(ids)} flagged as revoked; none of them runs here"}


def _headers(given: Any) -> Mapping[str, Any]:
    if isinstance(given, list):
        given = dict(one.partition("=")[::2] for one in given)
    if not (isinstance(given, Mapping) and given):
        raise TypeError("headers has to be a mapping of stamps to values")
    return given
