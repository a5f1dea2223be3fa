"""What can be said about a task and about a call: every option with its default and its meaning.

``TASK_OPTIONS`` are the keyword arguments of ``@app.task``, which are also the attributes of a task;
``CALL_OPTIONS`` are those of ``apply_async``. The two typed dictionaries repeat the names for type
checkers; a test keeps them equal. What an option does is decided where it is used, not here.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, TypedDict

from umbel.exceptions import ImproperlyConfigured, UmbelWarning, UnknownOption
from umbel.spelling import closest, nearest

__all__ = [
    "CALL_OPTIONS",
    "TASK_OPTIONS",
    "CallOptions",
    "TaskOption",
    "TaskOptions",
    "check_names",
    "checked_id",
    "checked_name",
    "refuse_unsupported",
    "task_setting",
]


class TaskOption(NamedTuple):
    """One thing that can be said about a task."""

    name: str
    default: Any
    doc: str
    #: The setting that decides where the task says nothing.
    setting: str | None = None


TASK_OPTIONS: tuple[TaskOption, ...] = (
    TaskOption("name", None, "What messages call it; by default `module.function`."),
    TaskOption("bind", False, "Give the task itself to the function as its first argument."),
    TaskOption("base", None, "The task class; by default the app's."),
    TaskOption("abstract", None, "Old name for a base class; has no effect."),
    TaskOption("shared", True, "Kept for Celery; tasks of an app belong to that app."),
    TaskOption("lazy", True, "Kept for Celery; tasks are real from the decorator on."),
    TaskOption("filter", None, "Called with the function first; what it returns becomes the task."),
    TaskOption(
        "typing", None, "Check the arguments of a call in the caller (the app's strict_typing)."
    ),
    TaskOption("max_retries", 3, "How often `retry` may be called; None: without end."),
    TaskOption("default_retry_delay", 180, "Seconds until a retry that says nothing else."),
    TaskOption("autoretry_for", (), "Exceptions after which the task is retried by itself."),
    TaskOption("dont_autoretry_for", (), "Exceptions that are excluded from `autoretry_for`."),
    TaskOption("retry_kwargs", {}, "Arguments of `retry` when the task is retried by itself."),
    TaskOption("retry_backoff", False, "Double the delay each time; a number is the first delay."),
    TaskOption(
        "retry_backoff_max", 600, "The longest delay that `retry_backoff` makes, in seconds."
    ),
    TaskOption("retry_jitter", True, "Take a random part of the delay that `retry_backoff` makes."),
    TaskOption("throws", (), "Expected exceptions: a failure, but logged without a traceback."),
    TaskOption(
        "rate_limit",
        None,
        "At most this many runs: '10/s', '100/m', '1000/h'.",
        "task_default_rate_limit",
    ),
    TaskOption("time_limit", None, "Seconds after which its process is ended.", "task_time_limit"),
    TaskOption(
        "soft_time_limit",
        None,
        "Seconds until SoftTimeLimitExceeded is raised in it.",
        "task_soft_time_limit",
    ),
    TaskOption("ignore_result", None, "Remember nothing about its runs.", "task_ignore_result"),
    TaskOption(
        "store_errors_even_if_ignored",
        None,
        "Remember failures although results are ignored.",
        "task_store_errors_even_if_ignored",
    ),
    TaskOption(
        "store_eager_result",
        None,
        "Remember results of inline runs, too.",
        "task_store_eager_result",
    ),
    TaskOption("track_started", None, "Remember that a run has begun.", "task_track_started"),
    TaskOption(
        "acks_late",
        None,
        "End the loan of the message after the run, not before.",
        "task_acks_late",
    ),
    TaskOption(
        "acks_on_failure_or_timeout",
        None,
        "Old form of the next two options together.",
        "task_acks_on_failure_or_timeout",
    ),
    TaskOption(
        "acks_on_failure",
        None,
        "False: the message of a failed run goes back to its queue.",
        "task_acks_on_failure",
    ),
    TaskOption(
        "acks_on_timeout",
        None,
        "The same for a run past its hard time limit.",
        "task_acks_on_timeout",
    ),
    TaskOption(
        "reject_on_worker_lost",
        None,
        "False: it has failed when its process died; else it runs again, up to task_max_deliveries times.",
        "task_reject_on_worker_lost",
    ),
    TaskOption(
        "retry_on_worker_lost",
        None,
        "Count the death of its process as a retry.",
        "task_retry_on_worker_lost",
    ),
    TaskOption(
        "serializer", None, "How arguments are written: json, yaml, pickle.", "task_serializer"
    ),
    TaskOption(
        "compression",
        None,
        "How messages are compressed: gzip, bzip2, lzma, zstd.",
        "task_compression",
    ),
    TaskOption("priority", None, "0 to 9, the higher number first."),
    TaskOption("expires", None, "Seconds (or a moment) after which it is not run any more."),
    TaskOption("queue", None, "The queue it is sent to."),
    TaskOption("exchange", None, "AMQP exchange, for a queue that is declared with one."),
    TaskOption("exchange_type", None, "Type of that exchange."),
    TaskOption("routing_key", None, "AMQP routing key, together with `exchange`."),
    TaskOption("delivery_mode", None, "2 or 'persistent', 1 or 'transient'."),
    TaskOption("backend", None, "A result backend of its own."),
    TaskOption("send_events", True, "Report its runs to monitors."),
    TaskOption("trail", True, "Remember which tasks a run has sent."),
    TaskOption("resultrepr_maxsize", 1024, "How much of a return value logs and events show."),
    TaskOption("pydantic", False, "Kept for Celery; not supported."),
    TaskOption("pydantic_strict", False, "Kept for Celery; not supported."),
    TaskOption("pydantic_context", None, "Kept for Celery; not supported."),
    TaskOption("pydantic_dump_kwargs", None, "Kept for Celery; not supported."),
    TaskOption("Strategy", None, "Kept for Celery; has no effect."),
    TaskOption("Request", None, "Kept for Celery; has no effect."),
)

CALL_OPTIONS: dict[str, str] = {
    "countdown": "Seconds to wait before it runs.",
    "eta": "The moment at which it runs; a naive one is local time.",
    "expires": "Seconds, or a moment, after which it is not run any more.",
    "queue": "The queue it is sent to.",
    "exchange": "AMQP exchange, together with routing_key.",
    "exchange_type": "Type of that exchange.",
    "routing_key": "AMQP routing key, together with exchange.",
    "priority": "0 to 9, the higher number first.",
    "serializer": "How arguments are written.",
    "compression": "How the message is compressed.",
    "headers": "Headers of your own; tasks find them in `self.request`.",
    "argsrepr": "What logs show instead of the positional arguments.",
    "kwargsrepr": "What logs show instead of the keyword arguments.",
    "time_limit": "Seconds after which its process is ended.",
    "soft_time_limit": "Seconds until SoftTimeLimitExceeded is raised in it.",
    "ignore_result": "Remember nothing about this call.",
    "timeout": "Seconds within which the broker must have taken the message.",
    "add_to_parent": "Count it among the children of the running task.",
    "delivery_mode": "2 or 'persistent', 1 or 'transient'.",
    "expiration": "AMQP expiration of the message.",
    "reply_to": "AMQP queue for replies.",
    "correlation_id": "AMQP correlation id; by default the task id.",
    "result_cls": "The class of the returned result.",
    "router": "An object whose route() decides instead of task_routes.",
    "root_id": "The first task of the workflow.",
    "parent_id": "The task that sends this one.",
    "group_id": "The group it belongs to.",
    "group_index": "Its place in the group.",
    "replaced_task_nesting": "How often tasks of its workflow were replaced.",
    "shadow": "What logs and monitors call it.",
    "link": "Signatures that are sent when it has succeeded, with its result.",
    "link_error": "Signatures that are called when it has failed.",
    "retries": "How many retries came before.",
    "origin": "Who sent it.",
    "stamped_headers": "Names of stamps.",
    "stamps": "Stamps.",
    "route_name": "Route as if the task had this name.",
    "task_type": "Kept for Celery; has no effect.",
    "retry": "Kept for Celery; the deadline decides how long sending is tried.",
    "retry_policy": "Kept for Celery; the deadline decides how long sending is tried.",
    "connection": "Kept for Celery; has no effect.",
    "publisher": "Kept for Celery; has no effect.",
    "mandatory": "Kept for Celery; has no effect.",
    "immediate": "Kept for Celery; has no effect.",
    "declare": "Kept for Celery; has no effect.",
    "confirm_timeout": "Kept for Celery; has no effect.",
    "chain": "Reserved for workflows.",
    "chord": "Reserved for workflows.",
}


class CallOptions(TypedDict, total=False):
    """The options of ``apply_async`` for type checkers; meanings in ``CALL_OPTIONS``. ``shadow``,
    ``link`` and ``link_error`` stand in the signatures themselves."""

    countdown: float | None
    eta: datetime | str | None
    expires: float | datetime | str | None
    queue: Any
    exchange: Any
    exchange_type: str | None
    routing_key: str | None
    priority: int | None
    serializer: str | None
    compression: str | None
    headers: Mapping[str, Any] | None
    argsrepr: str | None
    kwargsrepr: str | None
    time_limit: float | None
    soft_time_limit: float | None
    ignore_result: bool | None
    timeout: float | None
    add_to_parent: bool
    delivery_mode: int | str | None
    expiration: Any
    reply_to: str | None
    correlation_id: str | None
    result_cls: Any
    router: Any
    root_id: str | None
    parent_id: str | None
    group_id: str | None
    group_index: int | None
    replaced_task_nesting: int
    retries: int
    origin: str | None
    stamped_headers: Iterable[str] | None
    stamps: Mapping[str, Any] | None
    route_name: str | None
    task_type: Any
    retry: bool | None
    retry_policy: Mapping[str, Any] | None
    connection: Any
    publisher: Any
    mandatory: bool
    immediate: bool
    declare: Any
    confirm_timeout: float | None
    chain: Any
    chord: Any


class TaskOptions(TypedDict, total=False):
    """The options of ``@app.task`` for type checkers; meanings in ``TASK_OPTIONS``.

    ``bind``, ``base`` and ``name`` stand in the signatures themselves.
    """

    abstract: bool
    shared: bool
    lazy: bool
    filter: Any
    typing: bool | None
    max_retries: int | None
    default_retry_delay: float
    autoretry_for: type[BaseException] | Iterable[type[BaseException]]
    dont_autoretry_for: type[BaseException] | Iterable[type[BaseException]]
    retry_kwargs: Mapping[str, Any]
    retry_backoff: bool | float
    retry_backoff_max: float
    retry_jitter: bool
    throws: Iterable[type[BaseException]]
    rate_limit: str | float | None
    time_limit: float | None
    soft_time_limit: float | None
    ignore_result: bool | None
    store_errors_even_if_ignored: bool | None
    store_eager_result: bool | None
    track_started: bool | None
    acks_late: bool | None
    acks_on_failure_or_timeout: bool | None
    acks_on_failure: bool | None
    acks_on_timeout: bool | None
    reject_on_worker_lost: bool | None
    retry_on_worker_lost: bool | None
    serializer: str | None
    compression: str | None
    priority: int | None
    expires: float | datetime | str | None
    queue: Any
    exchange: Any
    exchange_type: str | None
    routing_key: str | None
    delivery_mode: int | str | None
    backend: Any
    send_events: bool
    trail: bool
    resultrepr_maxsize: int
    pydantic: bool
    pydantic_strict: bool
    pydantic_context: Mapping[str, Any] | None
    pydantic_dump_kwargs: Mapping[str, Any] | None
    Strategy: Any
    Request: Any


_SETTINGS = {option.name: option.setting for option in TASK_OPTIONS}
_TASK_OPTION_NAMES = frozenset(_SETTINGS)
_warned: set[str] = set()


def task_setting(option: str) -> str | None:
    """The setting that decides about this option where a task says nothing."""
    return _SETTINGS.get(option)


def check_names(
    given: Iterable[str],
    *,
    of: str,
    known: Collection[str] = _TASK_OPTION_NAMES,
    strict: bool,
) -> None:
    """Raise ``UnknownOption`` for the first unknown name, or, where unknown ones are allowed, warn
    once about each that is nearly a known one."""
    for name in given:
        if name in known:
            continue
        if strict:
            raise UnknownOption(f"{of} has no option {name!r}{nearest(name, known)}")
        meant = closest(name, known, cutoff=0.8)
        if meant is not None and name not in _warned:
            _warned.add(name)
            warnings.warn(
                f"{of} is given {name!r}, which means nothing to Umbel; did you mean {meant!r}?",
                UmbelWarning,
                stacklevel=2,
            )


def checked_id(task_id: object, name: str) -> str:
    """The id that a caller chose for a call of the task ``name``; an id is a string."""
    if not isinstance(task_id, str):
        raise TypeError(f"{name}: task_id must be a string, not {task_id!r}")
    return task_id


def checked_name(name: object) -> str:
    """The name of a task that somebody wants to be sent."""
    if not isinstance(name, str):
        raise TypeError(f"a task is sent by its name, which is a string, not {name!r}")
    if not name:
        raise ValueError("a task is sent by its name, not by an empty string")
    return name


def refuse_unsupported(options: Mapping[str, Any], *, of: str) -> None:
    """Refuse options that are known but would be silently without effect where it matters."""
    if options.get("pydantic"):
        raise ImproperlyConfigured(
            f"{of} asks for pydantic=True, which is not supported; validate the arguments in the task"
        )
    if options.get("backend"):
        raise ImproperlyConfigured(
            f"{of} asks for a result backend of its own, which is not supported; set result_backend"
        )
