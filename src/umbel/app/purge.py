"""Throwing away what waits on a queue, without leaving those who wait for results in the dark."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from umbel import states
from umbel.exceptions import TaskRevokedError
from umbel.message.failure import describe
from umbel.message.record import ResultRecord

if TYPE_CHECKING:
    from umbel.app.app import Umbel
    from umbel.message.message import Message

__all__ = ["purge"]


def purge(app: Umbel, queue: str) -> int:
    """Remove every ready message of the queue; how many there were. Each becomes REVOKED with
    ``TaskRevokedError('purged')``, unless its result is ignored or results are disabled."""
    backend, total = app.backend, 0
    while messages := app.broker.admin.purge(queue):
        total += len(messages)
        if backend is not None:
            records = [_record(m, app.conf.result_expires) for m in messages if _remembered(m)]
            backend.store_many(records)
    return total


def _remembered(message: Message | None) -> bool:
    return message is not None and not message.headers.get("ignore_result")


def _record(message: Message | None, ttl: float | None) -> ResultRecord:
    assert message is not None
    return ResultRecord(
        task_id=message.id,
        status=states.REVOKED,
        result=describe(TaskRevokedError("purged")),
        date_done=datetime.now(UTC).isoformat(),
        name=message.task,
        queue=message.queue,
        ttl=ttl,
    )
