"""What is remembered about a task: Celery's result record, before it is encoded for a store."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["ResultRecord"]


class ResultRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One task's state and result, with values that the result serializer can encode."""

    task_id: str
    status: str
    #: The return value; for FAILURE, RETRY and REVOKED ``{"exc_type", "exc_message", "exc_module"}``;
    #: for a state of the user's own, its meta.
    result: Any = None
    traceback: str | None = None
    #: Celery's tuple form of the results of tasks that this one sent: ``[[[id, parent], null], …]``.
    children: list[Any] = []
    #: ISO-8601, aware; None while the task has not ended.
    date_done: str | None = None
    group_id: str | None = None
    parent_id: str | None = None
    #: The rest is known to the worker and stored where ``extended`` is true (``result_extended``)
    #: or where the store has columns for it.
    extended: bool = False
    name: str | None = None
    args: Any = None
    kwargs: Any = None
    worker: str | None = None
    retries: int | None = None
    queue: str | None = None
    #: Seconds since the epoch; None where unknown.
    started_at: float | None = None
    #: Seconds to keep it; None: for ever.
    ttl: float | None = 86400.0
