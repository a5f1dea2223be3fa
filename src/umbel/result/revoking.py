"""Taking a task back: what is remembered of it, and what whoever waits for its result gets."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from umbel import states
from umbel.exceptions import TaskRevokedError
from umbel.message.failure import describe
from umbel.message.record import ResultRecord

if TYPE_CHECKING:
    from umbel.backends.base import ResultBackend

__all__ = ["REMEMBERED", "revoke", "revoked_record"]

#: Seconds for which a broker remembers that a task was revoked.
REMEMBERED: Final = 7 * 86_400.0


def revoke(app: Any, task_id: str, backend: ResultBackend | None) -> None:
    """From now on this task does not start. A message that waits for its moment is removed at once."""
    app.broker.revoke([task_id], time.time() + REMEMBERED)
    if app.broker.admin.cancel(task_id) and backend is not None:
        backend.store(revoked_record(task_id, app.conf.result_expires or None))


def revoked_record(task_id: str, ttl: float | None) -> ResultRecord:
    """The result of a task that was taken back before it began."""
    return ResultRecord(
        task_id=task_id,
        status=states.REVOKED,
        result=describe(TaskRevokedError("revoked")),
        date_done=datetime.now(UTC).isoformat(),
        ttl=ttl,
    )
