"""What can happen, one type each: to a task, a message, a worker, a connection.

An event carries facts and no behaviour. Who makes them is the worker (and the publisher, for
``MessagePublished``); log lines, metrics, signals and monitors subscribe to them through
``events/emitter.py``. Subscribing to a base class means all that descends from it.
"""

from __future__ import annotations

import time

import msgspec

from umbel.message.message import Message

__all__ = [
    "BrokerBack",
    "BrokerEvent",
    "BrokerLost",
    "ChildEvent",
    "ChildExited",
    "ChildStarted",
    "Event",
    "LoanLost",
    "MessagePublished",
    "MessageRescued",
    "MessageUndecodable",
    "TaskEvent",
    "TaskFailed",
    "TaskParked",
    "TaskReceived",
    "TaskRejected",
    "TaskRetried",
    "TaskRevoked",
    "TaskStarted",
    "TaskSucceeded",
    "WorkerEvent",
    "WorkerReady",
    "WorkerStopped",
    "WorkerStopping",
]


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something that happened."""

    #: Seconds since the epoch.
    timestamp: float = msgspec.field(default_factory=time.time)


# Tasks --------------------------------------------------------------------------------------------


class TaskEvent(Event, frozen=True, kw_only=True, gc=False):
    """Something that happened to one run of one task."""

    #: The task id.
    id: str
    #: The task name, or the one that its caller shows instead.
    name: str
    #: The task is declared with ``send_events=False``: monitors are not told.
    private: bool = False


class TaskReceived(TaskEvent, frozen=True, kw_only=True, gc=False):
    """A worker process has taken the message and will run it."""

    queue: str = ""
    #: The arguments as the sender represented them, shortened; nothing was decoded.
    args: str = ""
    kwargs: str = ""
    retries: int = 0
    #: How many times a worker died with it before.
    deliveries: int = 0
    #: ISO-8601, as the sender wrote them.
    eta: str | None = None
    expires: str | None = None
    root_id: str | None = None
    parent_id: str | None = None
    #: The name that its caller shows instead of the task's.
    shadow: str | None = None

    @classmethod
    def of(cls, message: Message) -> TaskReceived:
        """The event for this message."""
        headers = message.headers
        return cls(
            id=headers["id"],
            name=headers["task"],
            queue=message.queue,
            args=headers.get("argsrepr") or "",
            kwargs=headers.get("kwargsrepr") or "",
            retries=message.retries,
            deliveries=message.deliveries,
            eta=headers.get("eta"),
            expires=headers.get("expires"),
            root_id=headers.get("root_id"),
            parent_id=headers.get("parent_id"),
            shadow=headers.get("shadow"),
        )


class TaskStarted(TaskEvent, frozen=True, kw_only=True, gc=False):
    """The function is about to be called."""


class TaskSucceeded(TaskEvent, frozen=True, kw_only=True, gc=False):
    """The function returned."""

    #: Seconds that it took.
    runtime: float
    #: A shortened representation of what it returned.
    result: str


class TaskFailed(TaskEvent, frozen=True, kw_only=True, gc=False):
    """The function raised, and there will be no retry."""

    #: A representation of the exception: ``ValueError('x')``.
    error: str
    #: Empty where there is none.
    traceback: str = ""
    #: The exception is one of those that the task declared with ``throws``.
    expected: bool = False


class TaskRetried(TaskEvent, frozen=True, kw_only=True, gc=False):
    """The run ended and another one will follow."""

    #: Such as ``Retry in 3s: ValueError('x')``.
    reason: str
    #: A representation of the exception that led to it, where there was one.
    error: str = ""
    traceback: str = ""


class TaskRevoked(TaskEvent, frozen=True, kw_only=True, gc=False):
    """It was given up before it ran, or ended while it ran."""

    #: Its moment of expiry had passed.
    expired: bool = False
    #: It was running and was ended.
    terminated: bool = False
    #: The signal by which it was ended.
    signal: int | None = None


class TaskRejected(TaskEvent, frozen=True, kw_only=True, gc=False):
    """The task refused its own message with ``Reject``."""

    reason: str = ""
    #: The message went back to its queue rather than to the dead letters.
    requeued: bool = False


class TaskParked(TaskEvent, frozen=True, kw_only=True, gc=False):
    """No task of this name is known here; the message waits for a worker that knows it."""

    queue: str


class LoanLost(TaskEvent, frozen=True, kw_only=True, gc=False):
    """The message had been taken back from this process before the run ended: its outcome was
    refused, and what counts is that of the other run."""


class MessageRescued(TaskEvent, frozen=True, kw_only=True, gc=False):
    """A worker process died with this message, and another took it back."""

    #: Why it died, or why the message is dead.
    reason: str = ""
    #: It came back too often and is a dead letter now, instead of running again.
    dead: bool = False


class MessagePublished(TaskEvent, frozen=True, kw_only=True, gc=False):
    """A message was sent, and the broker keeps it."""

    queue: str
    #: ISO-8601.
    eta: str | None = None
    expires: str | None = None
    retries: int = 0
    root_id: str | None = None
    parent_id: str | None = None


# Messages, workers, connections -------------------------------------------------------------------


class MessageUndecodable(Event, frozen=True, kw_only=True, gc=False):
    """Bytes on a queue are no message; they are kept among the dead letters."""

    queue: str
    reason: str


class WorkerEvent(Event, frozen=True, kw_only=True, gc=False):
    """Something that happened to a whole worker."""

    #: Its name, such as ``celery@host``.
    node: str


class WorkerReady(WorkerEvent, frozen=True, kw_only=True, gc=False):
    """It takes messages from now on."""


class WorkerStopping(WorkerEvent, frozen=True, kw_only=True, gc=False):
    """It takes no more messages."""

    #: Running tasks may finish; otherwise they are given back.
    warm: bool = True


class WorkerStopped(WorkerEvent, frozen=True, kw_only=True, gc=False):
    """It has nothing left to do and leaves."""


class ChildEvent(Event, frozen=True, kw_only=True, gc=False):
    """Something that happened to one process of a worker."""

    pid: int


class ChildStarted(ChildEvent, frozen=True, kw_only=True, gc=False):
    """The process was forked."""


class ChildExited(ChildEvent, frozen=True, kw_only=True, gc=False):
    """The process ended."""

    #: In words: ``exited with code 1``, ``killed by SIGKILL``.
    detail: str = ""
    #: The exit code, or the number of the signal below zero; None where unknown.
    status: int | None = None
    #: It was told to, or did so in good order.
    expected: bool = False


class BrokerEvent(Event, frozen=True, kw_only=True, gc=False):
    """Something that happened to the connection with a broker."""

    #: Without password.
    url: str


class BrokerLost(BrokerEvent, frozen=True, kw_only=True, gc=False):
    """The broker does not answer; the worker keeps trying."""

    reason: str


class BrokerBack(BrokerEvent, frozen=True, kw_only=True, gc=False):
    """The broker answers again."""
