"""``EagerResult``: how a task ended that was run in the caller; same questions, all answers known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NoReturn, TypeVar

from umbel import states
from umbel.result.async_result import AsyncResult, assert_will_not_block

__all__ = ["EagerResult"]

R = TypeVar("R")

#: The value is there, but the same line would be refused where the task is sent to a worker.
_REFUSED = (
    "get() is refused inside a task, also for a task that was run here, so that the code does the "
    "same when the task is sent. The value is here already: read `.result`, or call get() inside "
    "`with allow_join_result():`"
)


class EagerResult(AsyncResult[R]):
    """The result of ``task.apply()``. Waiting never blocks."""

    def __init__(
        self,
        id: str,  # noqa: A002 - Celery's name
        ret_value: Any,
        state: str,
        traceback: str | None = None,
        name: str | None = None,
    ) -> None:
        self.id = id
        self.task_name = name
        self.parent = None
        self._value = ret_value
        self._state = state
        self._traceback = traceback

    def revoke(self, *_args: Any, **_kwargs: Any) -> None:
        """It has run already; its state is REVOKED from now on."""
        self._state = states.REVOKED

    def get(  # noqa: PLR0917 - Celery's positions
        self,
        timeout: float | None = None,  # noqa: ARG002
        propagate: bool = True,
        interval: float = 0.0,  # noqa: ARG002
        no_ack: bool = True,  # noqa: ARG002
        follow_parents: bool = True,  # noqa: ARG002
        callback: Callable[[str, Any], object] | None = None,
        on_message: Callable[[dict[str, Any]], object] | None = None,  # noqa: ARG002
        on_interval: Callable[[], object] | None = None,  # noqa: ARG002
        disable_sync_subtasks: bool = True,
        *,
        unknown: Literal["wait", "raise"] = "wait",  # noqa: ARG002
    ) -> R:
        """The value; an error of the task is raised here, or returned with ``propagate=False``."""
        if disable_sync_subtasks:
            assert_will_not_block(_REFUSED)
        value: R = self.maybe_throw(propagate, callback)
        return value

    wait = get

    async def aget(
        self,
        timeout: float | None = None,  # noqa: ARG002
        propagate: bool = True,
        *,
        disable_sync_subtasks: bool = True,
    ) -> R:
        """``get``."""
        return self.get(propagate=propagate, disable_sync_subtasks=disable_sync_subtasks)

    async def astate(self) -> str:
        """How it ended."""
        return self._state

    async def aforget(self) -> None:
        """There is nothing to delete."""

    @property
    def state(self) -> str:
        """How it ended."""
        return self._state

    status = state

    @property
    def result(self) -> Any:
        """The value or the exception."""
        return self._value

    info = result

    @property
    def traceback(self) -> str | None:
        """The traceback of the error, as text."""
        return self._traceback

    @property
    def date_done(self) -> None:
        """Not kept."""
        return

    @property
    def children(self) -> None:
        """Not kept."""
        return

    def exists(self) -> bool:
        """It is here."""
        return True

    def locate(self) -> None:
        """It never was on a queue."""

    def forget(self) -> None:
        """There is nothing to delete."""

    def maybe_throw(
        self, propagate: bool = True, callback: Callable[[str, Any], object] | None = None
    ) -> Any:
        """Raise the error if there is one (and ``propagate``); else return the value."""
        if propagate and self._state in states.PROPAGATE_STATES:
            self.throw()
        if callback is not None:
            callback(self.id, self._value)
        return self._value

    maybe_reraise = maybe_throw

    def throw(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Raise the error of the task."""
        if not isinstance(self._value, BaseException):
            raise RuntimeError(f"task {self.id} has no error to raise: it is {self._state}")  # noqa: TRY004
        raise self._value

    def _extended(self, name: str) -> Any:  # noqa: ARG002
        return None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.id, self._value, self._state, self._traceback, self.task_name)

    def __repr__(self) -> str:
        return f"<EagerResult: {self.id}>"
