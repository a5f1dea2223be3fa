"""What belongs to every app there is and will be: shared tasks, and what integrations add.

A library can declare tasks before any app exists. Such a task is one object that is registered in
every app; when it is used, it speaks for the app that is current then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar, Unpack, overload
from weakref import WeakSet

from umbel.app.declaration import declare, module_name
from umbel.app.options import TaskOptions, check_names
from umbel.app.task import Task
from umbel.current import existing_app

if TYPE_CHECKING:
    from umbel.app.app import Umbel

__all__ = ["adopt", "integrate", "shared_task"]

P = ParamSpec("P")
R = TypeVar("R")

_lock = threading.RLock()
_apps: WeakSet[Umbel] = WeakSet()
#: By name; with the options as they were given, to be checked by each app.
_tasks: dict[str, tuple[Task[..., Any], dict[str, Any]]] = {}
_integrations: list[Callable[[Umbel], object]] = []


@overload
def shared_task(function: Callable[P, R], /) -> Task[P, R]: ...
@overload
def shared_task(
    function: Callable[Concatenate[Any, P], R],
    /,
    *,
    bind: Literal[True],
    base: type[Task[..., Any]] | None = None,
    name: str | None = None,
    **options: Unpack[TaskOptions],
) -> Task[P, R]: ...
@overload
def shared_task(
    function: Callable[P, R],
    /,
    *,
    bind: Literal[False] = False,
    base: type[Task[..., Any]] | None = None,
    name: str | None = None,
    **options: Unpack[TaskOptions],
) -> Task[P, R]: ...
@overload
def shared_task(
    *,
    bind: Literal[True],
    base: type[Task[..., Any]] | None = None,
    name: str | None = None,
    **options: Unpack[TaskOptions],
) -> Callable[[Callable[Concatenate[Any, P], R]], Task[P, R]]: ...
@overload
def shared_task(
    *,
    bind: Literal[False] = False,
    base: type[Task[..., Any]] | None = None,
    name: str | None = None,
    **options: Unpack[TaskOptions],
) -> Callable[[Callable[P, R]], Task[P, R]]: ...
def shared_task(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a task of every app, for code that does not know the app."""
    if function is None:
        return lambda decorated: share(decorated, options)
    if not callable(function):
        raise TypeError(f"@shared_task decorates functions, not {function!r}")
    return share(function, options)


def share(function: Callable[..., Any], options: dict[str, Any]) -> Task[..., Any]:
    """Declare a task and register it in every app."""
    app: Umbel | None = existing_app()
    base = options.get("base") or (Task if app is None else app.Task)
    task = declare(
        function,
        options,
        base=base,
        name_of=_name if app is None else app.gen_task_name,
        strict=None if app is None else app.strict,
    )
    with _lock:
        for one in _apps:
            take_in(one, task, options)
        _tasks[task.name] = (task, options)
    return task


def _name(name: str, module: str) -> str:
    return f"{module_name(module, None)}.{name}"


def take_in(app: Umbel, task: Task[..., Any], options: dict[str, Any]) -> None:
    """Register a shared task in one app, by that app's rules."""
    check_names(options, of=f"task {task.name}", strict=app.strict)
    app.take_in(task)
    app.rebase(task)


def adopt(app: Umbel) -> None:
    """Give a new app everything that is shared."""
    with _lock:
        _apps.add(app)
        for task, options in _tasks.values():
            take_in(app, task, options)
        for integration in _integrations:
            integration(app)


def integrate(integration: Callable[[Umbel], object]) -> None:
    """Call this with every app, those that exist and those to come."""
    with _lock:
        _integrations.append(integration)
        for app in list(_apps):
            integration(app)
