"""Making a task of a function: what ``@app.task`` and ``@shared_task`` do with their arguments.

The class is not made anew for each task; an instance of the base class gets the function and the
options as attributes of its own. They are there before the class's ``__new__`` and ``__init__`` go on,
because projects override both and wrap ``run`` there.
"""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable, Mapping
from functools import WRAPPER_ASSIGNMENTS
from importlib import import_module
from pathlib import PurePath
from types import MethodType
from typing import TYPE_CHECKING, Any

from umbel.app.option_kinds import check_task_values
from umbel.app.options import check_names, refuse_unsupported, task_setting
from umbel.exceptions import ImproperlyConfigured

if TYPE_CHECKING:
    from umbel.app.task import Task

__all__ = ["complete", "declare", "module_name", "place", "resolve"]

#: Options that tell how to make the task and are no attributes of it.
_MAKING = frozenset({"base", "bind", "filter", "lazy", "name", "shared"})


class _Declaration(threading.local):
    """The task being made in this thread."""

    attributes: Mapping[str, Any] | None = None
    function: Callable[..., Any]
    bind: bool


_declaration = _Declaration()


def declare(
    function: Callable[..., Any],
    options: Mapping[str, Any],
    *,
    base: type[Task[..., Any]],
    name_of: Callable[[str, str], str],
    strict: bool | None,
) -> Task[..., Any]:
    """The task that this function becomes. ``name_of`` makes a name of function and module;
    ``strict`` None: no app is there yet to judge the options."""
    if options.get("filter"):
        function = options["filter"](function)
    name = options.get("name") or _derived_name(function, name_of)
    if not isinstance(name, str):
        raise TypeError(f"{place(function)}: the name of a task must be a string, not {name!r}")
    if strict is not None:
        check_names(options, of=f"task {name}", strict=strict)
    refuse_unsupported(options, of=f"task {name}")
    check_task_values(options, of=f"task {name}", strict=strict)
    _declaration.attributes = _attributes(function, name, options)
    _declaration.function = function
    _declaration.bind = bool(options.get("bind"))
    try:
        return base()
    finally:
        _declaration.attributes = None


def complete(task: Task[..., Any]) -> None:
    """Give a task that is being made what its declaration says; others are left as they are."""
    attributes = _declaration.attributes
    if attributes is None:
        return
    _declaration.attributes = None
    function = _declaration.function
    task.__dict__.update(attributes)
    task.__dict__["run"] = MethodType(function, task) if _declaration.bind else function


def _attributes(
    function: Callable[..., Any], name: str, options: Mapping[str, Any]
) -> dict[str, Any]:
    found: dict[str, Any] = {
        key: getattr(function, key) for key in WRAPPER_ASSIGNMENTS if hasattr(function, key)
    }
    # None for an option that a setting decides means: as the setting says.
    said = {
        key: value
        for key, value in options.items()
        if key not in _MAKING and not (value is None and task_setting(key))
    }
    based = options.get("base") is not None
    return {**found, **said, "name": name, "based": based, "__wrapped__": function}


def _derived_name(function: Callable[..., Any], name_of: Callable[[str, str], str]) -> str:
    name = getattr(function, "__name__", None)
    if name is None or name == "<lambda>":
        raise ImproperlyConfigured(
            f"{place(function)} has no name of its own to call the task by; "
            "give it one: @app.task(name='...')"
        )
    return name_of(name, function.__module__)


def place(function: Any) -> str:
    """Where a function or class was written, for messages."""
    source = inspect.unwrap(function)
    code = getattr(source, "__code__", None)
    module = getattr(source, "__module__", None) or type(source).__module__
    name = f"{module}.{getattr(source, '__qualname__', repr(source))}"
    return name if code is None else f"{name} ({code.co_filename}:{code.co_firstlineno})"


def resolve(task_class: type[Task[..., Any]] | str | None) -> type[Task[..., Any]]:
    """The task class given by itself, by its dotted path, or not at all."""
    if isinstance(task_class, str):
        module, _, name = task_class.replace(":", ".").rpartition(".")
        try:
            task_class = getattr(import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise ImproperlyConfigured(f"Cannot import task_cls {task_class!r}: {error}") from error
    if task_class is None:
        task_class = sys.modules["umbel.app.task"].Task
    if not isinstance(task_class, type):
        raise ImproperlyConfigured(f"task_cls is {task_class!r}, which is not a class")
    return task_class


def module_name(module: str, main: str | None) -> str:
    """The module part of a task name. A program run as a script is ``__main__`` to itself, but its
    workers import it: the app's name stands for it, or else the name it would be imported by. The
    ``__main__`` of a package is the package to both."""
    if module != "__main__" and not module.endswith(".__main__"):
        return module
    if main:
        return main
    if module != "__main__":
        return module.removesuffix(".__main__")
    script = sys.modules.get("__main__")
    spec = getattr(script, "__spec__", None)
    if spec is not None and spec.name:
        return str(spec.name).removesuffix(".__main__")
    file = getattr(script, "__file__", None)
    return PurePath(file).stem if file else module
