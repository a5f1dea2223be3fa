"""What the live view shows, as plain text: which tasks, in which order, in which words.

Everything that comes over the wire is foreign: what a terminal could obey is replaced here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any, Final

from umbel import states
from umbel.events.state import State, Task, Worker

__all__ = ["STATE_COLORS", "details", "printable", "task_cells", "tasks_shown", "worker_cells"]

STATE_COLORS: Final = {
    states.PENDING: "bright_black",
    states.RECEIVED: "cyan",
    states.STARTED: "blue",
    states.SUCCESS: "green",
    states.FAILURE: "red",
    states.RETRY: "yellow",
    states.REVOKED: "magenta",
    states.REJECTED: "magenta",
}

#: As much of a text as a person will read.
_LONGEST: Final = 20_000

_MOMENTS: Final = (
    *("sent", "received", "started", "retried", "succeeded", "failed", "revoked", "rejected"),
)
_FACTS: Final = (
    *("args", "kwargs", "result", "exception", "runtime", "retries", "eta", "expires", "exchange"),
    *("routing_key", "client", "root_id", "parent_id"),
)


def printable(text: Any, *, lines: bool = False) -> str:
    """The text without anything that a terminal could obey; with ``lines`` it may have several."""
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(
        letter
        if letter.isprintable() or (lines and letter in "\n\t")
        else "\N{REPLACEMENT CHARACTER}"
        for letter in shown
    )


def tasks_shown(state: State, text: str, only: str | None, limit: int) -> list[Task]:
    """The tasks in which each word of ``text`` occurs and whose state is ``only``, the latest first."""
    rows: Iterator[tuple[str, Task]] = state.tasks_by_time()
    words = text.lower().split()
    tasks: Iterable[Task] = (task for _, task in rows)
    if only is not None:
        tasks = (task for task in tasks if task.state == only)
    if words:
        tasks = (task for task in tasks if _mentions(task, words))
    return list(islice(tasks, limit))


def _mentions(task: Task, words: Iterable[str]) -> bool:
    worker = "" if task.worker is None else task.worker.hostname
    text = f"{task.name} {task.uuid} {worker} {task.args} {task.kwargs}".lower()
    return all(word in text for word in words)


def task_cells(task: Task) -> tuple[str, ...]:
    """Time, state, name, id, worker, seconds."""
    return (
        _clock(task.timestamp),
        printable(task.state),
        printable(task.name or "?"),
        printable(task.uuid),
        printable(task.worker.hostname if task.worker is not None else ""),
        _seconds(task.runtime),
    )


def worker_cells(worker: Worker) -> tuple[str, ...]:
    """Name, status, active, processed, load, what it runs."""
    load = worker.loadavg if isinstance(worker.loadavg, list) else []
    return (
        printable(worker.hostname),
        "online" if worker.alive else "silent",
        printable("" if worker.active is None else worker.active),
        printable("" if worker.processed is None else worker.processed),
        printable(" ".join(map(str, load))),
        printable(f"{worker.sw_ident or ''} {worker.sw_ver or ''}".strip()),
    )


def details(task: Task) -> list[tuple[str, str]]:
    """Everything that is known of a task: names and values."""
    moments = ((name, getattr(task, name)) for name in _MOMENTS)
    facts = ((name, getattr(task, name)) for name in _FACTS)
    rows = [
        ("id", task.uuid),
        ("name", task.name or "?"),
        ("state", task.state),
        ("worker", task.worker.hostname if task.worker is not None else None),
        *((name, _clock(moment, date=True)) for name, moment in moments if moment is not None),
        *facts,
        ("children", ", ".join(str(child.uuid) for child in task.children) or None),
        ("traceback", task.traceback or None),
    ]
    return [
        (name, printable(str(value)[:_LONGEST], lines=True))
        for name, value in rows
        if value is not None
    ]


def _clock(moment: Any, *, date: bool = False) -> str:
    form = "%Y-%m-%d %H:%M:%S.%f" if date else "%H:%M:%S"
    try:
        return datetime.fromtimestamp(moment).astimezone().strftime(form)
    except (TypeError, ValueError, OverflowError, OSError):
        return "?"


def _seconds(runtime: Any) -> str:
    return f"{runtime:.3f}" if isinstance(runtime, int | float) else ""
