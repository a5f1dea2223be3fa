"""``AsyncResult``: what the sender of a task holds, to ask later how it went.

It is an id and the app to ask; nothing is subscribed and nothing kept on any server until somebody
asks. Every question reads the record anew, until there is a final one, which is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar

from umbel import states
from umbel.current import current_app
from umbel.exceptions import ImproperlyConfigured, ResultNotFound, TimeoutError  # noqa: A004
from umbel.message.failure import restore
from umbel.message.record import ResultRecord
from umbel.result.awaiting import Awaited
from umbel.result.revoking import revoke, signal_number
from umbel.result.waiting import (
    allow_join_result,
    assert_will_not_block,
    check_timeout,
    denied_join_result,
)

if TYPE_CHECKING:
    from umbel.app.app import Umbel
    from umbel.backends.base import ResultBackend
    from umbel.brokers.admin import Place

__all__ = ["AsyncResult", "allow_join_result", "assert_will_not_block", "denied_join_result"]

R = TypeVar("R")

#: Seconds for a record that is on its way: a message that was just settled, a store that lags.
_GRACE = 1.0


class AsyncResult(Awaited[R]):
    """How a task that was sent is doing. ``R`` is what the task returns."""

    TimeoutError = TimeoutError
    #: True when the task was sent with ``ignore_result``: there will never be a result.
    ignored = False
    app: Umbel
    _backend: ResultBackend | None = None

    def __init__(
        self,
        id: str,  # noqa: A002 - Celery's name
        backend: ResultBackend | None = None,
        task_name: str | None = None,
        app: Umbel | None = None,
        parent: AsyncResult[Any] | None = None,
    ) -> None:
        if not id:
            raise ValueError("AsyncResult needs the id of a task")
        if not isinstance(id, str):
            raise TypeError(f"AsyncResult needs the id of a task, which is a string, not {id!r}")
        self.id = id
        self.app = current_app() if app is None else app
        self.task_name = task_name
        self.parent = parent
        if backend is not None:
            self._backend = backend

    # Waiting ----------------------------------------------------------------------------------------

    def get(  # noqa: PLR0917 - Celery's positions
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        no_ack: bool = True,  # noqa: ARG002 - Celery's position
        follow_parents: bool = True,
        callback: Callable[[str, Any], object] | None = None,
        on_message: Callable[[dict[str, Any]], object] | None = None,
        on_interval: Callable[[], object] | None = None,
        disable_sync_subtasks: bool = True,
        *,
        unknown: Literal["wait", "raise"] = "wait",
    ) -> R:
        """Wait for the end and return the task's value; an error of the task is raised here.

        ``timeout``: seconds, then ``TimeoutError``; None: no limit. ``propagate=False``: return the
        error instead. ``unknown="raise"``: raise ``ResultNotFound`` when nobody knows this id, neither
        the result backend nor the broker, instead of waiting for ever.
        """
        if timeout is not None:
            check_timeout(timeout)
        if disable_sync_subtasks:
            assert_will_not_block()
        if self.ignored:
            return None  # type: ignore[return-value]  # there never is a value
        if follow_parents and propagate and self.parent is not None:
            self.parent.maybe_throw()
        record = self._final()
        if record is None:
            record = self._wait(timeout, interval, on_interval, unknown)
            self._record = record
        if on_message is not None:
            on_message(_meta(record))
        self.maybe_throw(propagate, callback)
        value: R = self.result
        return value

    wait = get

    def _wait(
        self,
        timeout: float | None,
        interval: float,
        on_interval: Callable[[], object] | None,
        unknown: str,
    ) -> ResultRecord:
        deadline = None if timeout is None else time.monotonic() + timeout
        asking = unknown == "raise"
        while True:
            left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
            piece = _GRACE if asking else interval if on_interval is not None else None
            limit = piece if left is None else left if piece is None else min(piece, left)
            record = self.backend.wait(self.id, limit)
            if record is not None:
                return record
            if deadline is not None and time.monotonic() >= deadline:
                raise self._late(timeout, self.state)
            if on_interval is not None:
                on_interval()
            if asking:
                self._assert_known()

    def _assert_known(self) -> None:
        if self.backend.load(self.id) is None and self.locate() is None:
            # Between the two questions it may have moved from the one place to the other.
            time.sleep(_GRACE / 10)
            if self.backend.load(self.id) is None and self.locate() is None:
                raise ResultNotFound(
                    f"Nobody knows {self._described()}: it is on no queue, and no result is stored. "
                    "It was never sent to this broker, or its result has expired or was forgotten"
                )

    # Asking -----------------------------------------------------------------------------------------

    def ready(self) -> bool:
        """It has ended, one way or another."""
        return self.state in states.READY_STATES

    def successful(self) -> bool:
        """It has ended and returned."""
        return self.state == states.SUCCESS

    def failed(self) -> bool:
        """It has ended with an error."""
        return self.state == states.FAILURE

    def exists(self) -> bool:
        """Something is stored about it."""
        return self._load() is not None

    @property
    def state(self) -> str:
        """PENDING (unknown, or waiting), STARTED, RETRY, SUCCESS, FAILURE, REVOKED, or one of the task's own."""
        record = self._load()
        return states.PENDING if record is None else record.status

    status = state

    @property
    def result(self) -> Any:
        """The value, the exception, or what ``update_state`` was given as ``meta``."""
        record = self._load()
        if record is None:
            return None
        if record.status in states.EXCEPTION_STATES:
            return self._error(record)
        return record.result

    info = result

    @property
    def traceback(self) -> str | None:
        """The traceback of the error, as text."""
        record = self._load()
        return None if record is None else record.traceback

    @property
    def date_done(self) -> datetime | None:
        """When it ended, in UTC."""
        record = self._load()
        return None if record is None or not record.date_done else _moment(record.date_done)

    @property
    def children(self) -> list[AsyncResult[Any]] | None:
        """Results of the tasks that it sent."""
        record = self._load()
        if record is None:
            return None
        return [_from_tuple(child, self.app) for child in record.children or ()]

    @property
    def name(self) -> str | None:
        """The task's name, if the store keeps it (setting result_extended)."""
        name: str | None = self.task_name or self._extended("name")
        return name

    @property
    def args(self) -> Any:
        """The positional arguments, if the store keeps them (setting result_extended)."""
        return self._extended("args")

    @property
    def kwargs(self) -> Any:
        """The keyword arguments, if the store keeps them (setting result_extended)."""
        return self._extended("kwargs")

    @property
    def worker(self) -> str | None:
        """The node that ran it, if the store keeps it (setting result_extended)."""
        worker: str | None = self._extended("worker")
        return worker

    @property
    def retries(self) -> int | None:
        """How many retries there were, if the store keeps it (setting result_extended)."""
        retries: int | None = self._extended("retries")
        return retries

    @property
    def queue(self) -> str | None:
        """The queue it came from, if the store keeps it (setting result_extended)."""
        queue: str | None = self._extended("queue")
        return queue

    def locate(self) -> Place | None:
        """Where its message is now: ready, delayed, lent, parked or dead; None: on no queue."""
        return self.app.broker.admin.locate(self.id)

    def revoke(
        self,
        connection: Any = None,  # noqa: ARG002 - Celery's position
        terminate: bool = False,
        signal: str | None = None,
        wait: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Take it back, unless it has begun: it never starts, on no worker, and ends as REVOKED.
        With ``terminate`` it is ended when it runs, by ``signal``; with ``wait``, the workers' word is
        awaited, ``timeout`` seconds at most."""
        signal_number(signal)  # a slip is refused before anything is written down
        revoke(self.app, [self.id], self._backend or self.app.backend)
        told = {"task_id": self.id, "terminate": terminate, "signal": signal or "SIGTERM"}
        self.app.control.broadcast("revoke", told, reply=wait, timeout=timeout)

    def forget(self) -> None:
        """Delete what is stored about it."""
        self._record = None
        if self.parent is not None:
            self.parent.forget()
        self.backend.forget(self.id)

    def maybe_throw(
        self, propagate: bool = True, callback: Callable[[str, Any], object] | None = None
    ) -> Any:
        """Raise the error if there is one (and ``propagate``); else return the value so far."""
        record = self._load()
        if record is not None and propagate and record.status in states.PROPAGATE_STATES:
            self._throw(record)
        value = self.result
        if callback is not None:
            callback(self.id, value)
        return value

    maybe_reraise = maybe_throw

    def throw(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Raise the error of the task."""
        record = self._load()
        if record is None or record.status not in states.EXCEPTION_STATES:
            raise RuntimeError(f"{self._described()} has no error to raise: it is {self.state}")
        self._throw(record)

    # The rest ---------------------------------------------------------------------------------------

    @property
    def backend(self) -> ResultBackend:
        """Where its result is kept."""
        backend = self._backend or self.app.backend
        if backend is None:
            raise ImproperlyConfigured(
                "Results are disabled (result_backend); set result_backend to a URL, such as "
                "redis://localhost:6379/1 or sqlite:///umbel.sqlite3"
            )
        return backend

    @property
    def task_id(self) -> str:
        """Another name of ``id``."""
        return self.id

    def as_tuple(self) -> tuple[tuple[str, Any], None]:
        """Id and parent, as they are stored in records."""
        parent = self.parent
        return (self.id, parent.as_tuple() if parent is not None else None), None

    def _load(self) -> ResultRecord | None:
        if self._record is not None:
            return self._record
        record = self.backend.load(self.id)
        if record is not None and record.status in states.READY_STATES:
            self._record = record
        return record

    def _extended(self, name: str) -> Any:
        record = self._load()
        return None if record is None else getattr(record, name)

    def _error(self, record: ResultRecord) -> BaseException:
        return restore(record.result)

    def _throw(self, record: ResultRecord) -> NoReturn:
        error = self._error(record)
        if record.traceback:
            error.add_note(f"\nIn the worker:\n{record.traceback.rstrip()}")
        raise error

    def __eq__(self, other: object) -> bool:
        if isinstance(other, AsyncResult):
            return other.id == self.id
        return other == self.id if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.id, None, self.task_name, None, self.parent)


def _moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def _meta(record: ResultRecord) -> dict[str, Any]:
    return {
        "task_id": record.task_id,
        "status": record.status,
        "result": record.result,
        "traceback": record.traceback,
        "children": record.children,
        "date_done": record.date_done,
    }


def _from_tuple(value: Any, app: Any) -> AsyncResult[Any]:
    (task_id, parent), _children = value
    return AsyncResult(task_id, app=app, parent=_from_tuple(parent, app) if parent else None)
