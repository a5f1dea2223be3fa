"""Deleting what waits on a queue, so that nobody waits in vain for the result of what was deleted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from umbel import states
from umbel.exceptions import TaskRevokedError
from umbel.message.failure import describe
from umbel.message.message import Message
from umbel.message.record import ResultRecord

if TYPE_CHECKING:
    from umbel.app.app import Umbel

__all__ = ["purge"]


def purge(app: Umbel, queue: str) -> int:
    """Delete the ready messages of a queue and store that their tasks are REVOKED; how many."""
    count = 0
    backend = app.backend
    ttl = app.conf.result_expires or None
    while messages := app.broker.admin.purge(queue):
        count += len(messages)
        asked = [m for m in messages if m is not None and not m.headers.get("ignore_result")]
        if backend is not None and asked:
            backend.store_many([_purged(message, ttl) for message in asked])
    return count


def _purged(message: Message, ttl: float | None) -> ResultRecord:
    return ResultRecord(
        task_id=message.id,
        status=states.REVOKED,
        result=describe(TaskRevokedError("purged")),
        date_done=datetime.now(UTC).isoformat(),
        group_id=message.headers.get("group"),
        parent_id=message.headers.get("parent_id"),
        name=message.task,
        retries=message.retries,
        queue=message.queue,
        ttl=ttl,
    )
