"""The tasks of one app, by name.

A mapping like any other, with two additions: a name that is missing first makes the app import what
autodiscovery still owes, and two different functions cannot share a name unnoticed.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from umbel.app.declaration import place
from umbel.exceptions import AlreadyRegistered, ImproperlyConfigured, NotRegistered, UmbelWarning
from umbel.spelling import nearest

if TYPE_CHECKING:
    from umbel.app.task import Task

__all__ = ["TaskRegistry"]


class TaskRegistry(dict[str, "Task[..., Any]"]):
    """Name -> task. ``complete`` imports modules that may register more tasks; it is called before
    a name is declared missing. ``strict``: a second function of one name is an error; otherwise
    the first one stays, with a warning."""

    def __init__(self, complete: Callable[[], None], *, strict: bool) -> None:
        super().__init__()
        self._complete = complete
        self._strict = strict

    def __missing__(self, name: str) -> Task[..., Any]:
        self._complete()
        found = self.get(name)
        if found is None:
            raise NotRegistered(f"No task is called {name!r}{nearest(name, self)}")
        return found

    def register(self, task: Task[..., Any]) -> Task[..., Any]:
        """Add a task, and return the one that has its name from now on."""
        name = task.name
        if not name:
            raise ImproperlyConfigured(f"{task!r} has no name; give it one: name = '...'")
        if not isinstance(name, str):
            raise TypeError(
                f"{type(task).__qualname__}: the name of a task must be a string, not {name!r}"
            )
        present = self.get(name)
        if present is not None and present is not task and not _same(present, task):
            problem = (
                f"Two tasks are called {name!r}: {place(_source(present))} and {place(_source(task))}; "
                "rename one, or give it a name of its own: name='...'"
            )
            if self._strict:
                raise AlreadyRegistered(problem)
            warnings.warn(f"{problem}. The first one stays.", UmbelWarning, stacklevel=3)
            return present
        self[name] = task
        return task

    def unregister(self, task: str | Task[..., Any]) -> None:
        """Remove a task, given by name or by itself."""
        name = task if isinstance(task, str) else task.name
        if self.pop(name, None) is None:
            raise NotRegistered(f"No task is called {name!r}{nearest(name, self)}")

    def regular(self) -> dict[str, Task[..., Any]]:
        """Every task: periodic ones are ordinary tasks that a schedule names."""
        return dict(self)

    def periodic(self) -> dict[str, Task[..., Any]]:
        """Always empty: see ``regular``."""
        return {}


def _source(task: Task[..., Any]) -> Any:
    return inspect.unwrap(task.__wrapped__) if hasattr(task, "__wrapped__") else type(task)


def _same(one: Task[..., Any], other: Task[..., Any]) -> bool:
    """The same code declared again: a module that was reloaded, or that runs as ``__main__`` and was
    imported once more under its own name."""
    first, second = _source(one), _source(other)
    if getattr(first, "__qualname__", first) != getattr(second, "__qualname__", second):
        return False
    return bool(first.__module__ == second.__module__ or _file(first) == _file(second))


def _file(source: Any) -> str:
    code = getattr(source, "__code__", None)
    return str(source.__module__ if code is None else code.co_filename)
