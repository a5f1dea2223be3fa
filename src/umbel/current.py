"""The only ambient state: which app is meant when none is named, and which task is running here.

Apps are process-wide, so that an app made in one thread is found in every other; ``use_app``
overrides them for one context (a thread, an asyncio task). What runs is a stack per context,
because a task may call another one. Knows nothing of what apps and tasks are; the functions of
the public interface that have no app in their hands (``shared_task``, ``current_task``) read it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

from umbel.exceptions import ImproperlyConfigured

__all__ = [
    "context_of",
    "current_app",
    "current_context",
    "current_task",
    "existing_app",
    "is_default",
    "outermost_task",
    "pop_context",
    "push_context",
    "running",
    "set_current_app",
    "set_default_factory",
    "use_app",
]

# Apps ---------------------------------------------------------------------------------------------


class _Shared:
    """What all threads see."""

    app: Any = None
    default: Any = None
    make_default: Callable[[], Any] | None = None
    #: Reentrant, since making an app makes it the current one.
    making = threading.RLock()


_override: ContextVar[Any] = ContextVar("umbel_app", default=None)


def current_app() -> Any:
    """The app that is meant here: that of ``use_app``, else the last one made, else a default one
    that is made now."""
    app = existing_app()
    return _make_default() if app is None else app


def existing_app() -> Any | None:
    """As ``current_app``, but None where one would have to be made."""
    app = _override.get()
    return _Shared.app if app is None else app


def set_current_app(app: Any | None) -> None:
    """Mean this app from now on, in every thread. Every new app calls this."""
    _Shared.app = app


@contextmanager
def use_app(app: Any) -> Iterator[None]:
    """Mean this app in the block, in this thread (or asyncio task) only."""
    token = _override.set(app)
    try:
        yield
    finally:
        _override.reset(token)


def set_default_factory(make: Callable[[], Any] | None) -> None:
    """Say how a default app is made, for when one is asked for and there is none."""
    _Shared.make_default = make


def is_default(app: Any) -> bool:
    """Whether nobody made this app on purpose: it was asked for before there was one."""
    return app is not None and app is _Shared.default


def _make_default() -> Any:
    with _Shared.making:
        if _Shared.app is None:
            if _Shared.make_default is None:
                raise ImproperlyConfigured("there is no app yet; make one: app = Umbel('name')")
            _Shared.app = _Shared.default = _Shared.make_default()
        return _Shared.app


# The running task ---------------------------------------------------------------------------------

#: A task, its context, and the frame of the task that called it.
_Frame: TypeAlias = "tuple[Any, Any, _Frame | None]"

_frame: ContextVar[_Frame | None] = ContextVar("umbel_task", default=None)


#: What runs here, or None: asked for every message that is sent, so without a frame of its own.
running = _frame.get


def push_context(task: Any, context: Any) -> None:
    """From here on this task runs, with this context, until ``pop_context``."""
    _frame.set((task, context, _frame.get()))


def pop_context() -> None:
    """What ran before the last ``push_context`` runs again; harmless when nothing runs."""
    frame = _frame.get()
    if frame is not None:
        _frame.set(frame[2])


def current_task() -> Any | None:
    """The task that runs here, the innermost if one called another; None outside of tasks."""
    frame = _frame.get()
    return None if frame is None else frame[0]


def current_context() -> Any | None:
    """The context of ``current_task``."""
    frame = _frame.get()
    return None if frame is None else frame[1]


def context_of(task: Any) -> Any | None:
    """The innermost context with which this very task runs here; None when it does not."""
    frame = _frame.get()
    while frame is not None:
        if frame[0] is task:
            return frame[1]
        frame = frame[2]
    return None


def outermost_task() -> Any | None:
    """The task that the worker started here, whatever it called since."""
    frame = _frame.get()
    while frame is not None and frame[2] is not None:
        frame = frame[2]
    return None if frame is None else frame[0]
