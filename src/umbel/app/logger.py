"""Loggers of tasks: what the modules of a project ask for, so that their lines know the task.

Stands beside the app, because modules with tasks import it; who shows the lines, and how, is
``worker/log_setup.py``.
"""

from __future__ import annotations

import logging

__all__ = ["get_task_logger"]

_TASKS = "umbel.task"
#: Above the task logger, or the task logger itself: they cannot be its children.
_ABOVE = frozenset({"", "root", "umbel", _TASKS})


def get_task_logger(name: str) -> logging.Logger:
    """The logger of this name, as a child of the task logger: its lines are written in
    ``worker_task_log_format``, with the id and the name of the task."""
    if name in _ABOVE:
        raise ValueError(f"{name!r} cannot be the logger of a task: name it after your module")
    # What stands above it by name is made first: made later, it would take the place of the
    # parent, and become a child of the task logger itself.
    parts = name.split(".")
    for end in range(1, len(parts)):
        logging.getLogger(".".join(parts[:end]))
    logger = logging.getLogger(name)
    if not name.startswith(f"{_TASKS}."):
        logger.parent = logging.getLogger("umbel.task")
    return logger
