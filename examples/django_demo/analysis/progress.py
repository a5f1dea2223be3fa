"""Where a job stands, as the page and its JSON endpoint show it."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from analysis.errors import UnreadableFile
from analysis.models import Upload
from analysis.tasks import analyse
from umbel import AsyncResult
from umbel.states import READY_STATES

__all__ = ["describe"]

#: Seconds after which a job that nobody took is worth a hint.
_PATIENCE = 3.0


def describe(upload: Upload) -> dict[str, Any]:
    """State, step, share done, result or error: everything that may change while one waits."""
    result: AsyncResult[Any] = analyse.AsyncResult(upload.task_id)
    state = result.state
    # Asked for after the state: the task may have ended in between, and then this is its result.
    value = result.result
    waited = (timezone.now() - upload.created_at).total_seconds()
    description: dict[str, Any] = {
        "state": state,
        "ready": state in READY_STATES,
        "step": "Starting",
        "percent": None,
        "no_worker": state == "PENDING" and waited > _PATIENCE,
    }
    if state == "PENDING":
        description |= {"step": "Waiting for a worker"}
    elif state == "SUCCESS":
        description |= {"step": "Done", "percent": 100, "report": value}
    elif state in READY_STATES:
        description |= {"step": "Failed", "error": _explain(value)}
    elif isinstance(value, dict) and "step" in value:
        percent = round(100 * value["done"] / max(value["total"], 1))
        description |= {"step": value["step"], "percent": percent}
    return description


def _explain(error: object) -> str:
    """What the person who uploaded the file should read."""
    if isinstance(error, UnreadableFile):
        return str(error)
    return f"{type(error).__name__}: {error}"
