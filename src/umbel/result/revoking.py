"""Taking a task back: what is remembered of it, and what whoever waits for its result gets."""

from __future__ import annotations

import signal as signals
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from umbel import states
from umbel.exceptions import TaskRevokedError
from umbel.message.failure import describe
from umbel.message.record import ResultRecord
from umbel.spelling import nearest

if TYPE_CHECKING:
    from umbel.backends.base import ResultBackend

__all__ = ["REMEMBERED", "ids_of", "revoke", "revoked_record", "signal_number"]

#: Seconds for which a broker remembers that a task was revoked.
REMEMBERED: Final = 7 * 86_400.0


def revoke(app: Any, ids: Sequence[str], backend: ResultBackend | None) -> None:
    """From now on these tasks do not start. Messages that wait for their moment are removed at once."""
    app.broker.revoke(ids, time.time() + REMEMBERED)
    cancelled = [task_id for task_id in ids if app.broker.admin.cancel(task_id)]
    if cancelled and backend is not None:
        ttl = app.conf.result_expires or None
        backend.store_many([revoked_record(task_id, ttl) for task_id in cancelled])


def ids_of(tasks: Any) -> list[str]:
    """The ids of what somebody wants to take back: an id, a result, a group of results, or several
    of those."""
    if isinstance(tasks, str):
        return [tasks]
    inner = getattr(tasks, "results", None)
    if inner is None and hasattr(tasks, "id"):
        inner = (tasks.id,)
    try:
        parts = iter(tasks if inner is None else inner)
    except TypeError:
        raise TypeError(f"Tasks are named by their ids or results, not by {tasks!r}") from None
    return list(dict.fromkeys(task_id for part in parts for task_id in ids_of(part)))


def signal_number(given: Any) -> int:
    """The number of a signal that is named in any of the usual ways; TERM where none is."""
    if given is None:
        return signals.SIGTERM
    known = signals.Signals.__members__
    name = str(given).upper()
    try:
        if name.isdecimal() and not isinstance(given, bool):
            return signals.Signals(int(name))
        return known[name if name.startswith("SIG") else f"SIG{name}"]
    except (KeyError, ValueError):
        offer = nearest(name if name.startswith("SIG") else f"SIG{name}", known)
        raise ValueError(f"there is no signal {str(given)[:40]!r}{offer}") from None


def revoked_record(task_id: str, ttl: float | None, reason: str = "revoked") -> ResultRecord:
    """The result of a task that was taken back before it began, or while it ran (``terminated``)."""
    return ResultRecord(
        task_id=task_id,
        status=states.REVOKED,
        result=describe(TaskRevokedError(reason)),
        date_done=datetime.now(UTC).isoformat(),
        ttl=ttl,
    )
