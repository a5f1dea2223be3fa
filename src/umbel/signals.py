"""Signals: functions of a project that are called when something happens, with Celery's names.

    @task_failure.connect(sender="shop.ship")
    def tell(sender, task_id, exception, **rest): ...

The comment above each signal says when it is sent and what its keyword arguments are.
Who sends asks ``signal.receivers`` first, so that a signal nobody connected to costs a truth test.
What happens to tasks inside a worker is also told by ``events/``, as data; signals are for code
that runs beside the task and needs the objects themselves.
"""

from __future__ import annotations

import inspect
import logging
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, TypeVar, overload

__all__ = [
    "Signal",
    "after_setup_logger",
    "after_setup_task_logger",
    "after_task_publish",
    "beat_embedded_init",
    "beat_init",
    "before_task_publish",
    "celeryd_after_setup",
    "celeryd_init",
    "eventlet_pool_apply",
    "eventlet_pool_postshutdown",
    "eventlet_pool_preshutdown",
    "eventlet_pool_started",
    "heartbeat_sent",
    "import_modules",
    "setup_logging",
    "task_failure",
    "task_internal_error",
    "task_postrun",
    "task_prerun",
    "task_received",
    "task_rejected",
    "task_retry",
    "task_revoked",
    "task_sent",
    "task_success",
    "task_unknown",
    "user_preload_options",
    "worker_before_create_process",
    "worker_init",
    "worker_process_init",
    "worker_process_shutdown",
    "worker_ready",
    "worker_shutdown",
    "worker_shutting_down",
]

logger = logging.getLogger("umbel.signals")

Receiver: TypeAlias = Callable[..., Any]
F = TypeVar("F", bound=Callable[..., Any])

#: Seconds before a receiver connected with ``retry=True`` is called again: first, more, at most.
_RETRY_FIRST, _RETRY_STEP, _RETRY_LAST = 2.0, 2.0, 30.0


class Connection(NamedTuple):
    """One receiver, and whose signals it wants."""

    #: ``dispatch_uid``, else which function or bound method it is.
    key: Any
    #: None: everybody's.
    sender: Any
    #: A weak reference, or the receiver itself.
    held: Any
    #: Called again until it does not raise.
    retry: bool

    def receiver(self) -> Receiver | None:
        """The function or method; None when it is gone."""
        held = self.held
        return held() if isinstance(held, weakref.ReferenceType) else held

    def wants(self, sender: Any) -> bool:
        """Whether it is connected to this sender: the very object, or an equal name."""
        wanted = self.sender
        if wanted is None or wanted is sender:
            return True
        if not isinstance(wanted, str):
            return False
        name = sender if isinstance(sender, str) else getattr(sender, "name", None)
        return isinstance(name, str) and wanted == name


class Signal:
    """Calls its receivers with ``signal``, ``sender`` and the keyword arguments of ``send``, in the
    order in which they were connected. May be used from any thread."""

    def __init__(
        self,
        providing_args: Any = None,
        use_caching: bool = False,  # noqa: ARG002 - Celery's signature
        name: str | None = None,
    ) -> None:
        self.name = name
        self.providing_args = set(providing_args or ())
        #: Replaced, never changed: whoever reads it has all of it. Empty: nobody is connected.
        self.receivers: tuple[Connection, ...] = ()
        self._changing = threading.Lock()
        #: Some receiver was garbage collected. Taken out later: at that moment, this very thread may
        #: be holding the lock.
        self._gone = False

    @overload
    def connect(
        self,
        receiver: F,
        sender: Any = None,
        weak: bool = True,
        dispatch_uid: Any = None,
        retry: bool = False,
    ) -> F: ...
    @overload
    def connect(
        self,
        receiver: str | None = None,
        sender: Any = None,
        weak: bool = True,
        dispatch_uid: Any = None,
        retry: bool = False,
    ) -> Callable[[F], F]: ...
    def connect(
        self,
        receiver: Any = None,
        sender: Any = None,
        weak: bool = True,
        dispatch_uid: Any = None,
        retry: bool = False,
    ) -> Any:
        """Call ``receiver``, which has to take ``**kwargs``, whenever the signal is sent; also as a
        decorator, with or without arguments.

        ``sender``: only for what this object sends; a task also by its name. ``weak``: do not keep
        the receiver alive. ``dispatch_uid``: of the receivers with one identifier only the first is
        connected. ``retry``: when the receiver raises, call it again, later and later; it is kept
        alive, and whoever sends the signal waits.
        """
        if receiver is None or isinstance(receiver, str):
            wanted = sender if receiver is None else receiver
            return lambda function: self.connect(function, wanted, weak, dispatch_uid, retry)
        _check(receiver)
        key = _key(receiver) if dispatch_uid is None else dispatch_uid
        held = receiver if retry or not weak else self._weakly(receiver)
        with self._changing:
            living = self._living()
            if not any(one.key == key and _same(one.sender, sender) for one in living):
                living = (*living, Connection(key, sender, held, retry))
            self.receivers = living
        return receiver

    def disconnect(
        self,
        receiver: Receiver | None = None,
        sender: Any = None,
        weak: bool | None = None,  # noqa: ARG002 - Celery's signature
        dispatch_uid: Any = None,
    ) -> bool:
        """End a connection that was made with the same sender; False when there is none."""
        key = _key(receiver) if dispatch_uid is None else dispatch_uid
        with self._changing:
            living = self._living()
            self.receivers = tuple(
                one for one in living if not (one.key == key and _same(one.sender, sender))
            )
            return len(self.receivers) < len(living)

    def has_listeners(self, sender: Any = None) -> bool:
        """Whether anybody would be called."""
        return any(one.wants(sender) and one.receiver() is not None for one in self.receivers)

    def send(self, sender: Any, **named: Any) -> list[tuple[Receiver, Any]]:
        """Call every receiver; each with what it returned, or with the exception that it raised,
        which is logged and goes no further."""
        if self._gone:
            self._forget_the_gone()
        answers: list[tuple[Receiver, Any]] = []
        for connection in self.receivers:
            receiver = connection.receiver() if connection.wants(sender) else None
            if receiver is not None:
                call = _persistently if connection.retry else _once
                answers.append((receiver, call(receiver, self, sender, named)))
        return answers

    send_robust = send

    def _weakly(self, receiver: Receiver) -> weakref.ReferenceType[Any]:
        kind: Any = weakref.WeakMethod if inspect.ismethod(receiver) else weakref.ref
        reference: weakref.ReferenceType[Any] = kind(receiver, self._notice)
        return reference

    def _notice(self, _reference: Any) -> None:
        self._gone = True

    def _living(self) -> tuple[Connection, ...]:
        self._gone = False
        return tuple(one for one in self.receivers if one.receiver() is not None)

    def _forget_the_gone(self) -> None:
        if self._changing.acquire(blocking=False):
            try:
                self.receivers = self._living()
            finally:
                self._changing.release()

    def __repr__(self) -> str:
        return f"<Signal: {self.name}>"


def _check(receiver: Any) -> None:
    if not callable(receiver):
        raise TypeError(f"A receiver of signals is a function, not {receiver!r}")
    try:
        parameters = inspect.signature(receiver).parameters.values()
    except (TypeError, ValueError):  # some callables of C cannot say
        return
    if not any(one.kind is one.VAR_KEYWORD for one in parameters):
        raise ValueError(
            f"{receiver!r} cannot receive signals: it has to accept keyword arguments, **kwargs"
        )


def _key(receiver: Any) -> Any:
    """Two bound methods of one object and function are one receiver."""
    if inspect.ismethod(receiver):
        return (id(receiver.__self__), id(receiver.__func__))
    return id(receiver)


def _same(one: Any, other: Any) -> bool:
    return one is other or (isinstance(one, str) and isinstance(other, str) and one == other)


def _once(receiver: Receiver, signal: Signal, sender: Any, named: dict[str, Any]) -> Any:
    try:
        return receiver(signal=signal, sender=sender, **named)
    except Exception as error:
        logger.exception("Receiver %r of signal %s raised", receiver, signal.name)
        return error


def _persistently(receiver: Receiver, signal: Signal, sender: Any, named: dict[str, Any]) -> Any:
    pause = _RETRY_FIRST
    while True:
        answer = _once(receiver, signal, sender, named)
        if not isinstance(answer, Exception):
            return answer
        logger.error("It is called again in %g s", pause)
        time.sleep(pause)
        pause = min(_RETRY_LAST, pause + _RETRY_STEP)


def _signal(name: str, *arguments: str) -> Signal:
    return Signal(arguments, name=name)


# Sending tasks: where they are sent. sender: the task's name --------------------------------------

#: Before a message is written. ``body`` is ``(args, kwargs, embed)``. Changes to ``headers``,
#: ``properties`` and to the dicts in ``body`` travel. ``declare``: the queue's name, in a list.
before_task_publish = _signal(
    "before_task_publish",
    *("body", "exchange", "routing_key", "headers", "properties", "declare", "retry_policy"),
)
#: When the broker keeps it; for a retry, when its run has ended, just before it is kept.
after_task_publish = _signal("after_task_publish", "body", "headers", "exchange", "routing_key")
#: As ``after_task_publish``, with other arguments; deprecated by Celery.
task_sent = _signal("task_sent", "task_id", "task", "args", "kwargs", "eta", "taskset")

# The life of a task: in the process that runs it. sender: the task, if nothing else is said -------

#: A message came whose task is known here. ``request``: see ``umbel.worker.request``. sender: what
#: receives messages.
task_received = _signal("task_received", "request")
#: Before the function is called; ``task.request`` is there.
task_prerun = _signal("task_prerun", "task_id", "task", "args", "kwargs")
#: After the run, however it ended; ``retval`` is the exception where there was one.
task_postrun = _signal("task_postrun", "task_id", "task", "args", "kwargs", "retval", "state")
#: ``runtime``: seconds.
task_success = _signal("task_success", "result", "runtime")
#: ``reason``: the Retry; ``einfo``: its ``exception`` and ``traceback``.
task_retry = _signal("task_retry", "request", "reason", "einfo")
#: No retry follows. ``traceback`` is the object, ``einfo.traceback`` the text. Of a task whose
#: process died or was ended by the hard time limit the supervisor tells, unless it had ``acks_late=False``.
task_failure = _signal(
    "task_failure", "task_id", "exception", "args", "kwargs", "traceback", "einfo"
)
#: An error of the worker itself, or of one of its middlewares.
task_internal_error = _signal(
    "task_internal_error",
    *("task_id", "args", "kwargs", "request", "exception", "traceback", "einfo"),
)
#: It will not run. ``expired``: because its moment has passed.
task_revoked = _signal("task_revoked", "request", "terminated", "signum", "expired")
#: A message that is no task. ``message`` is the delivery, if it could not be read at all. Not what a
#: task refuses itself with ``Reject``, as with Celery.
task_rejected = _signal("task_rejected", "message", "exc")
#: No task of this name is known here: the message waits for a worker that knows it.
task_unknown = _signal("task_unknown", "message", "exc", "name", "id")

# The life of a worker -----------------------------------------------------------------------------

#: Before the settings are used; ``conf`` may still be changed. sender: the node's name.
celeryd_init = _signal("celeryd_init", "instance", "conf", "options")
#: When everything is built. sender: the node's name.
celeryd_after_setup = _signal("celeryd_after_setup", "instance", "conf")
#: Before the modules of ``imports``, ``include`` and autodiscovery are imported. sender: the app.
import_modules = _signal("import_modules")
#: Before the worker connects. sender: the worker.
worker_init = _signal("worker_init")
#: In the supervisor, before each fork. sender: the supervisor.
worker_before_create_process = _signal("worker_before_create_process")
#: In each process before it works, and in a solo worker. sender: the node's name.
worker_process_init = _signal("worker_process_init")
#: In a process that ends in good order. sender: the node's name.
worker_process_shutdown = _signal("worker_process_shutdown", "pid", "exitcode")
#: Processes are started. sender: the worker.
worker_ready = _signal("worker_ready")
#: It was told to stop. ``how`` is ``Warm`` or ``Cold``, ``sig`` the signal that means this, which
#: need not be the one that came: ``SIGTERM`` or ``SIGQUIT``. sender: the node's name.
worker_shutting_down = _signal("worker_shutting_down", "sig", "how", "exitcode")
#: Nothing runs any more. sender: the worker.
worker_shutdown = _signal("worker_shutdown")
#: After each heartbeat that the broker took, in a thread of the supervisor. sender: that thread's
#: service.
heartbeat_sent = _signal("heartbeat_sent")

# Logging. sender: None. ``loglevel`` is a number, ``logfile`` None where there is none --------------

#: Instead of the set-up of our own, unless every receiver raises.
setup_logging = _signal("setup_logging", "loglevel", "logfile", "format", "colorize")
#: ``logger``: the root logger.
after_setup_logger = _signal(
    "after_setup_logger", "logger", "loglevel", "logfile", "format", "colorize"
)
#: ``logger``: ``umbel.task``.
after_setup_task_logger = _signal(
    "after_setup_task_logger", "logger", "loglevel", "logfile", "format", "colorize"
)

# Not sent by this version: what they tell of does not exist in it. Connecting to them is harmless ---

beat_init = _signal("beat_init")
beat_embedded_init = _signal("beat_embedded_init")
eventlet_pool_started = _signal("eventlet_pool_started")
eventlet_pool_preshutdown = _signal("eventlet_pool_preshutdown")
eventlet_pool_postshutdown = _signal("eventlet_pool_postshutdown")
eventlet_pool_apply = _signal("eventlet_pool_apply", "target", "args", "kwargs")
user_preload_options = _signal("user_preload_options", "app", "options")
