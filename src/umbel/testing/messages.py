"""Messages and result records made by hand, for tests that need no app and no task.

A message from here looks like one that a client would send: protocol-2 headers in wire order and
a JSON body. It deliberately knows no serializer but JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec

from umbel.message.message import Message
from umbel.message.record import ResultRecord
from umbel.states import SUCCESS

__all__ = ["message", "messages", "record"]


def message(
    task: str = "add",
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    id: str | None = None,  # noqa: A002 - the name it has on the message
    queue: str = "celery",
    priority: int = 0,
    due: float | None = None,
    headers: Mapping[str, Any] | None = None,
    body: bytes | None = None,
) -> Message:
    """One call of ``task``; ``headers`` are added to those that the protocol asks for."""
    task_id = id or str(uuid4())
    eta = None if due is None else datetime.fromtimestamp(due, UTC)
    return Message(
        headers={**_headers(task, task_id, args, kwargs or {}, eta), **(headers or {})},
        body=_body(args, kwargs or {}) if body is None else body,
        queue=queue,
        priority=priority,
        due=None if eta is None else eta.timestamp(),
        correlation_id=task_id,
    )


def messages(count: int, task: str = "add", **fields: Any) -> list[Message]:
    """``count`` calls of ``task`` with the arguments (0,), (1,), (2,) and so on."""
    return [message(task, (number,), **fields) for number in range(count)]


def record(
    task_id: str | None = None, status: str = SUCCESS, result: Any = None, **fields: Any
) -> ResultRecord:
    """A result record of ``task_id`` (a new id when None)."""
    return ResultRecord(task_id=task_id or str(uuid4()), status=status, result=result, **fields)


def _headers(
    task: str, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any], eta: datetime | None
) -> dict[str, Any]:
    return {
        "lang": "py",
        "task": task,
        "id": task_id,
        "shadow": None,
        "eta": None if eta is None else eta.isoformat(),
        "expires": None,
        "group": None,
        "group_index": None,
        "retries": 0,
        "timelimit": [None, None],
        "root_id": task_id,
        "parent_id": None,
        "argsrepr": repr(tuple(args)),
        "kwargsrepr": repr(dict(kwargs)),
        "origin": "gen1@testing",
        "ignore_result": False,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
    }


def _body(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes:
    embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    return msgspec.json.encode([list(args), dict(kwargs), embed])
