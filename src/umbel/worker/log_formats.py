"""How a log line looks: as text that knows the task, in colours, or as one JSON object.

Formatters only; which handler has which one is ``log_setup.py``.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from umbel.current import current_task

__all__ = ["ColorFormatter", "JsonFormatter", "TaskFormatter"]

_RESET = "\033[0m"
_COLORS = {
    logging.DEBUG: "\033[34m",
    logging.WARNING: "\033[33m",
    logging.ERROR: "\033[31m",
    logging.CRITICAL: "\033[1;31m",
}


def _running() -> tuple[str | None, str | None]:
    """Id and name of the task that runs here."""
    task = current_task()
    request = getattr(task, "request", None)
    return getattr(request, "id", None), getattr(task, "name", None)


class ColorFormatter(logging.Formatter):
    """Writes lines in the colour of their level, if it is told to."""

    def __init__(self, *arguments: Any, color: bool = False, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.color = color

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        color = _COLORS.get(record.levelno) if self.color else None
        return f"{color}{line}{_RESET}" if color else line


class TaskFormatter(ColorFormatter):
    """A formatter that knows ``%(task_id)s`` and ``%(task_name)s`` of the running task."""

    def format(self, record: logging.LogRecord) -> str:
        task_id, task_name = _running()
        record.__dict__.setdefault("task_id", task_id or "???")
        record.__dict__.setdefault("task_name", task_name or "???")
        return super().format(record)


class JsonFormatter(logging.Formatter):
    """One JSON object for each line: timestamp (UTC), level, logger, process, message, task_id,
    task_name and exception, and under ``data`` the facts that the line carries."""

    def format(self, record: logging.LogRecord) -> str:
        data = record.__dict__.get("data")
        facts = data if isinstance(data, dict) else {}
        task_id, task_name = _running()
        if record.name == "umbel.task.trace":  # it tells of a task from outside
            task_id, task_name = facts.get("id", task_id), facts.get("name", task_name)
        line: dict[str, Any] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "process": record.processName,
            "message": record.getMessage(),
            "task_id": task_id,
            "task_name": task_name,
            "exception": self._exception(record),
        }
        if data is not None:
            line["data"] = data
        return _encode(line)

    def _exception(self, record: logging.LogRecord) -> str | None:
        if record.exc_info and record.exc_info[0] is not None:
            return self.formatException(record.exc_info)
        return record.exc_text


def _encode(line: dict[str, Any]) -> str:
    try:
        return json.dumps(line, ensure_ascii=False, allow_nan=False, default=str)
    except (TypeError, ValueError, RecursionError):  # what a project puts into ``data``
        return json.dumps(line | {"data": repr(line.get("data"))}, ensure_ascii=False)
