"""Everything that Umbel raises, as one tree, under the names that Celery, kombu and billiard use.

Names are the public contract; the tree is ours. Control flow inside a task (``Retry``,
``Ignore``, ``Reject``) descends from ``TaskPredicate`` so that ``except UmbelError`` in user code
does not swallow it by accident any more than it would with Celery.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AlreadyRegistered",
    "BackendError",
    "CeleryError",
    "ConnectionLost",
    "ContentDisallowed",
    "DecodeError",
    "DuplicateNodenameWarning",
    "EncodeError",
    "Ignore",
    "ImproperlyConfigured",
    "InvalidTaskError",
    "MaxRetriesExceededError",
    "MessageTooLarge",
    "NodeNotFound",
    "NotRegistered",
    "OperationalError",
    "QueueNotFound",
    "Reject",
    "ResultNotFound",
    "Retry",
    "SoftTimeLimitExceeded",
    "TaskError",
    "TaskPredicate",
    "TaskRevokedError",
    "Terminated",
    "TimeLimitExceeded",
    "TimeoutError",
    "UmbelError",
    "UmbelWarning",
    "UnknownOption",
    "UnknownSetting",
    "WorkerLostError",
    "WorkerShutdown",
    "WorkerTerminate",
]


class UmbelError(Exception):
    """Base of everything that Umbel raises on purpose."""


CeleryError = UmbelError


class UmbelWarning(UserWarning):
    """Base of the warnings that Umbel gives."""


class DuplicateNodenameWarning(UmbelWarning):
    """Two workers answer to one name."""


class ImproperlyConfigured(UmbelError):
    """A setting, URL or declaration cannot work as written."""


class UnknownSetting(ImproperlyConfigured, AttributeError):
    """A setting that does not exist was read or written; the message names the nearest one."""


class UnknownOption(ImproperlyConfigured, TypeError):
    """A task or call option that does not exist was given; the message names the nearest one."""


# Travelling -------------------------------------------------------------------------------------


class EncodeError(UmbelError, TypeError):
    """A value cannot be serialized; the message says which argument and what to do."""


class DecodeError(UmbelError, ValueError):
    """Received bytes are not a message or value of the declared content type."""


class ContentDisallowed(DecodeError):
    """The content type is known but not in ``accept_content``."""


class MessageTooLarge(EncodeError):
    """The encoded message is above the size limit of the broker."""


class OperationalError(UmbelError):
    """The broker or the result backend could not be reached, or refused, within the deadline."""

    #: Whoever asks again hears the same, until a person changes the URL or the server.
    lasting: bool = False


class ConnectionLost(OperationalError):
    """The connection broke; the operation may or may not have happened on the server."""


class NodeNotFound(UmbelError, LookupError):
    """No living worker has this name; the message names the nearest one."""


class BackendError(UmbelError):
    """The result backend answered something that is not a result."""


# Control flow inside a task -----------------------------------------------------------------------


class TaskPredicate(UmbelError):
    """Raised inside a task to say how the job ends instead of failing it."""


class Retry(TaskPredicate):
    """The task is to run again later. Raised by ``Task.retry``.

    ``when`` is the delay in seconds, or an aware datetime, or None for at once.
    """

    def __init__(
        self,
        message: str | None = None,
        exc: BaseException | str | None = None,
        when: Any = None,
        is_eager: bool = False,
        sig: Any = None,
    ) -> None:
        self.message = message
        #: The cause, and its text; a cause may be given as text alone.
        self.exc = None if isinstance(exc, str) else exc
        self.excs = exc if isinstance(exc, str) else None if exc is None else repr(exc)
        self.when = when
        self.is_eager = is_eager
        self.sig = sig
        #: The message of the next run, where it is still to be sent (with the settlement).
        self.next_message: Any = None
        super().__init__(message, self.excs, when)

    def humanize(self) -> str:
        """``in 3s`` or ``at 2026-01-01 …``, for log lines."""
        if isinstance(self.when, int | float):
            return f"in {self.when:g}s"
        return "now" if self.when is None else f"at {self.when}"

    def __str__(self) -> str:
        if self.message:
            return self.message
        cause = f": {self.excs}" if self.excs is not None else ""
        return f"Retry {self.humanize()}{cause}"


class Ignore(TaskPredicate):
    """The job ends; the worker stores nothing and leaves the state as the task set it."""


class Reject(TaskPredicate):
    """The message is refused: ``requeue=True`` puts it back on its queue, else it is dead-lettered."""

    def __init__(self, reason: Any = None, requeue: bool = False) -> None:
        self.reason = reason
        self.requeue = requeue
        super().__init__(reason, requeue)


# Tasks ----------------------------------------------------------------------------------------------


class TaskError(UmbelError):
    """Something about a task or one of its runs."""


class QueueNotFound(TaskError, KeyError):
    """The queue is not declared and ``task_create_missing_queues`` is off."""

    __str__ = Exception.__str__


class NotRegistered(TaskError, KeyError):
    """No task of this name is known."""

    def __repr__(self) -> str:
        return f"NotRegistered({', '.join(repr(part) for part in self.args)})"

    __str__ = Exception.__str__


class AlreadyRegistered(TaskError):
    """Two different functions were registered under one task name."""


class TimeoutError(TaskError):  # noqa: A001 - Celery's public name
    """The result was not there within the given time."""


class MaxRetriesExceededError(TaskError):
    """The task asked for one retry more than ``max_retries`` allows."""

    def __init__(self, *args: Any, **context: Any) -> None:
        self.task_args = context.pop("task_args", ())
        self.task_kwargs = context.pop("task_kwargs", {})
        super().__init__(*args)


class ResultNotFound(TaskError, LookupError):
    """Nobody knows a task of this id: it was never sent, or what was known of it has expired."""


class TaskRevokedError(TaskError):
    """The task was revoked, expired or purged before it ran; the argument says which."""


class InvalidTaskError(TaskError):
    """A message carries no task, or its body is not what the protocol says."""


class SoftTimeLimitExceeded(UmbelError):
    """Raised inside a task when its soft time limit passed; the task may catch it and clean up."""

    def __str__(self) -> str:
        return f"SoftTimeLimitExceeded{self.args!r}"


class TimeLimitExceeded(UmbelError):
    """The hard time limit passed and the process that ran the task was ended. Argument: seconds."""

    def __str__(self) -> str:
        return f"TimeLimitExceeded{self.args!r}"


class WorkerLostError(UmbelError):
    """The process that ran the task died, as often as ``task_max_deliveries`` allows."""


class Terminated(UmbelError):
    """A running task was ended by remote control."""


class WorkerShutdown(SystemExit):
    """Raised to end the worker after the running tasks."""


class TaskTerminated(BaseException):
    """Raised inside a running task that somebody revoked with ``terminate=True``, in pools that have
    no process for each task. Not an ``Exception``: tasks that go on after errors end all the same."""


class WorkerTerminate(SystemExit):
    """Raised to end the worker at once; unfinished work goes back to its queue."""
