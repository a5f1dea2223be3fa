"""Who may wait for a result, and for how long.

Inside a task nobody may, unless it is allowed on purpose. Waiting itself is in ``async_result.py``
and, inside an event loop, in ``awaiting.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from umbel.current import current_context

__all__ = ["allow_join_result", "assert_will_not_block", "check_timeout", "denied_join_result"]

_DEADLOCK = (
    "Never wait for a result inside a task: when every process waits, none is left to run "
    "what they wait for. Let the other task go on by itself, or, if you are sure, wait "
    "inside `with allow_join_result():`"
)

_may_wait: ContextVar[bool | None] = ContextVar("umbel_may_wait", default=None)


@contextmanager
def allow_join_result() -> Iterator[None]:
    """Allow tasks to wait for other tasks in the block. If all processes wait, nothing ever ends."""
    token = _may_wait.set(True)
    try:
        yield
    finally:
        _may_wait.reset(token)


@contextmanager
def denied_join_result() -> Iterator[None]:
    """Forbid to wait for results in the block, inside and outside of tasks."""
    token = _may_wait.set(False)
    try:
        yield
    finally:
        _may_wait.reset(token)


def assert_will_not_block(reason: str = _DEADLOCK) -> None:
    """Raise ``RuntimeError`` for this reason where waiting for a result is forbidden."""
    allowed = _may_wait.get()
    if allowed is None:
        context = current_context()
        allowed = context is None or context.called_directly
    if not allowed:
        raise RuntimeError(reason)


def check_timeout(timeout: Any) -> None:
    """Refuse what is no time limit."""
    if not isinstance(timeout, int | float) or timeout != timeout:  # noqa: PLR0124 - NaN
        raise TypeError(f"get(): timeout is a number of seconds or None, not {timeout!r}")
