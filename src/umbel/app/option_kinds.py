"""What the values of options may be: one table for tasks, one for calls.

``check_task_values`` is asked when a task is declared, registered or annotated, ``check_call_values`` at each
call that has options. Names of options are checked in ``options.py``; nothing is converted here, because
an option is used as it was written. None never counts as given, except where ``_NEEDED`` says so.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from math import inf, isfinite
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, NamedTuple

from umbel.app.moments import moment
from umbel.app.settings_check import level_of_the_program
from umbel.app.settings_table.kinds import RATE
from umbel.exceptions import ImproperlyConfigured, UmbelWarning
from umbel.message import compression, serializers
from umbel.spelling import nearest

if TYPE_CHECKING:
    from umbel.app.task import Task

__all__ = [
    "CALL_KINDS",
    "TASK_KINDS",
    "check_call_values",
    "check_task",
    "check_task_values",
    "odd_limits",
]


class Kind(NamedTuple):
    """A sort of value."""

    #: Ends the sentence "expected …".
    expects: str
    #: Flags are no numbers: they fit only where ``bool`` is named.
    types: tuple[type, ...]
    fits: Callable[[Any], bool] = lambda _: True
    #: A value that does not fit does little harm: a lenient app warns of it.
    bearable: bool = False
    #: All right values, where they are words.
    words: Callable[[], list[str]] | None = None


#: A century; the timers of the system end somewhere beyond it.
_LONGEST = 3_155_760_000.0
_HIGHEST_PRIORITY = 9


def _are_exceptions(value: Any) -> bool:
    kinds = (value,) if isinstance(value, type) else value
    return all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds)


def _is_rate(value: Any) -> bool:
    try:
        RATE.convert(value)
    except ValueError:
        return False
    return True


def _is_moment(value: Any) -> bool:
    try:
        moment(value, None, what="")
    except (TypeError, ValueError):
        return False
    return True


def _is_named(value: Any) -> bool:
    named = value.get("name") if isinstance(value, Mapping) else getattr(value, "name", value)
    return isinstance(named, str)


def _has_text_keys(value: Mapping[Any, Any]) -> bool:
    return all(isinstance(key, str) for key in value)


FLAG = Kind("True or False", (bool, Integral), lambda value: value in {0, 1})
COUNT = Kind("a whole number, 0 or more", (Integral,), lambda value: value >= 0)
#: Infinity is what some write for "without end".
RETRIES = Kind(
    "a whole number, 0 or more, or None for no end", (Real,), lambda value: value >= 0, True
)
LIMIT = Kind("a number of seconds, 0 or more", (Real,), lambda value: 0 <= value <= _LONGEST)
DEADLINE = Kind("a number of seconds, 0 or more", (Real,), lambda value: value >= 0)
DELAY = Kind(
    "a number of seconds, 0 or more, or a timedelta",
    (Real, timedelta),
    lambda value: isinstance(value, timedelta) or 0 <= value < inf,
    True,
)
BACKOFF = Kind(
    "True, False or a number of seconds, 0 or more",
    (bool, Real),
    lambda value: 0 <= value < inf,
    True,
)
EXCEPTIONS = Kind(
    "exception classes, such as (ValueError,)",
    (type, tuple, list, set, frozenset),
    _are_exceptions,
)
RATES = Kind(RATE.expects, (str, Real), _is_rate)
PRIORITY = Kind(
    "a whole number from 0 to 9",
    (Integral,),
    lambda value: 0 <= value <= _HIGHEST_PRIORITY,
    True,
)
SERIALIZER = Kind(
    "the name of a serializer",
    (str,),
    lambda value: value in serializers.names(),
    True,
    serializers.names,
)
COMPRESSION = Kind(
    "the name of a compression",
    (str,),
    lambda value: value in compression.names(),
    True,
    compression.names,
)
MOMENT = Kind(
    "seconds, a datetime or its ISO 8601 text", (Real, timedelta, datetime, str), _is_moment
)
NAMED = Kind("a name or an object that has one", (object,), _is_named)
TEXT = Kind("a string", (str,))
MODE = Kind(
    "2 or 'persistent', 1 or 'transient'",
    (Integral, str),
    lambda value: value in {1, 2, "persistent", "transient"},
)
MAPPING = Kind("a dict", (Mapping,))
HEADERS = Kind("a dict whose keys are strings", (Mapping,), _has_text_keys)
CLASS = Kind("a class", (type,))

TASK_KINDS: dict[str, Kind] = {
    "bind": FLAG,
    "base": CLASS,
    "typing": FLAG,
    "max_retries": RETRIES,
    "default_retry_delay": DELAY,
    "autoretry_for": EXCEPTIONS,
    "dont_autoretry_for": EXCEPTIONS,
    "retry_kwargs": HEADERS,
    "retry_backoff": BACKOFF,
    "retry_backoff_max": LIMIT,
    "retry_jitter": FLAG,
    "throws": EXCEPTIONS,
    "rate_limit": RATES,
    "time_limit": LIMIT,
    "soft_time_limit": LIMIT,
    "ignore_result": FLAG,
    "store_errors_even_if_ignored": FLAG,
    "store_eager_result": FLAG,
    "track_started": FLAG,
    "acks_late": FLAG,
    "acks_on_failure_or_timeout": FLAG,
    "acks_on_failure": FLAG,
    "acks_on_timeout": FLAG,
    "reject_on_worker_lost": FLAG,
    "retry_on_worker_lost": FLAG,
    "serializer": SERIALIZER,
    "compression": COMPRESSION,
    "priority": PRIORITY,
    "expires": MOMENT,
    "queue": NAMED,
    "exchange": NAMED,
    "exchange_type": TEXT,
    "routing_key": TEXT,
    "delivery_mode": MODE,
    "send_events": FLAG,
    "trail": FLAG,
    "resultrepr_maxsize": COUNT,
}

#: Others are judged where they are made definite, in ``terms.py``.
CALL_KINDS: dict[str, Kind] = {
    "time_limit": LIMIT,
    "soft_time_limit": LIMIT,
    "timeout": DEADLINE,
    "retries": COUNT,
    "ignore_result": FLAG,
    "headers": HEADERS,
    "retry_policy": MAPPING,
    "stamps": MAPPING,
    "replaced_task_nesting": COUNT,
}

#: What `retry_kwargs` may hold; other options of a call are judged when it is made.
_RETRY_KINDS = {"max_retries": RETRIES, "countdown": DELAY}
#: Options of a task for which None means nothing.
_NEEDED = frozenset({"retry_kwargs", "retry_backoff_max", "resultrepr_maxsize"})
_warned: set[str] = set()


def check_task_values(values: Mapping[str, Any], *, of: str, strict: bool | None) -> None:
    """Refuse options of a task (``of``: of which) whose values cannot work. A lenient app is told of
    those that Celery puts up with; ``strict`` None: the app that will judge them is not there yet."""
    _check_each(values, TASK_KINDS, of=of, strict=strict)
    if values.get("retry_kwargs"):
        _check_each(values["retry_kwargs"], _RETRY_KINDS, of=f"{of} in retry_kwargs", strict=strict)
    if strict is not None and (limits := odd_limits(values)):
        _warn_once(f"{of} has {limits}")


def _check_each(
    values: Mapping[str, Any], kinds: Mapping[str, Kind], *, of: str, strict: bool | None
) -> None:
    for option, value in values.items():
        kind = kinds.get(option)
        if kind is None or (value is None and option not in _NEEDED):
            continue
        typed = _is_typed(kind, value)
        if typed and kind.fits(value):
            continue
        hint = nearest(value, kind.words()) if kind.words and isinstance(value, str) else ""
        problem = f"{of} has {option}={value!r}; expected {kind.expects}{hint}"
        if strict or not (typed and kind.bearable):
            raise ImproperlyConfigured(problem)
        if strict is not None:
            _warn_once(problem)


def check_task(task: Task[..., Any], *, strict: bool) -> None:
    """The same for all that a task and its classes say."""
    said: dict[str, Any] = {}
    for kind in reversed(type(task).__mro__):
        if kind.__module__ != "umbel.app.task":
            said |= vars(kind)
    said |= vars(task)
    # What a property or a function will say is not known before it is asked.
    values = {
        option: said[option]
        for option in TASK_KINDS.keys() & said.keys()
        if not hasattr(said[option], "__get__")
    }
    check_task_values(values, of=f"task {task.name}", strict=strict)


def check_call_values(options: Mapping[str, Any], name: str) -> None:
    """Raise ``TypeError`` or ``ValueError`` for the first option of a call that cannot work."""
    for option, value in options.items():
        kind = CALL_KINDS.get(option)
        if kind is None or value is None:
            continue
        typed = _is_typed(kind, value)
        if not typed or not kind.fits(value):
            problem = f"{name}: {option} must be {kind.expects}, not {value!r}"
            raise (ValueError if typed else TypeError)(problem)


def odd_limits(values: Mapping[str, Any]) -> str | None:
    """What is odd about the two time limits, if anything: the hard one comes first."""
    hard, soft = values.get("time_limit"), values.get("soft_time_limit")
    if not hard or not soft or not isfinite(soft) or soft < hard:
        return None
    return (
        f"soft_time_limit={soft!r} and time_limit={hard!r}: its process is ended before "
        "SoftTimeLimitExceeded could be raised"
    )


def _is_typed(kind: Kind, value: Any) -> bool:
    if isinstance(value, bool) and bool not in kind.types:
        return False
    return isinstance(value, kind.types)


def _warn_once(problem: str) -> None:
    if problem not in _warned:
        _warned.add(problem)
        warnings.warn(problem, UmbelWarning, stacklevel=level_of_the_program())
