"""What a setting's value may be: one ``Kind`` for each sort of value, with its conversion.

A conversion takes whatever a settings module, the environment or a program gives and returns the value that Umbel
works with, or raises ``ValueError``. Containers are handed
through as they are, since programs change ``app.conf.beat_schedule`` in place. None never gets here.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import msgspec

from umbel.app.settings_table.refused import Refused, Unsupported
from umbel.app.settings_table.structures import log_format, queues, schedule
from umbel.app.settings_table.urls import backend_url, broker_url
from umbel.message import serializers
from umbel.spelling import nearest

__all__ = [
    "ADDRESS",
    "ANNOTATIONS",
    "ANYTHING",
    "BACKEND",
    "BROKER",
    "BYTES",
    "CALLABLE",
    "CLASS",
    "CONCURRENCY",
    "CONTENT",
    "COUNT",
    "DELIVERY_MODE",
    "FLAG",
    "INTEGER",
    "LEVEL",
    "LOG_FORMAT",
    "MAPPING",
    "NAMES",
    "NUMBER",
    "PATH",
    "POSITIVE",
    "PRIORITY",
    "PROTOCOL",
    "QUEUES",
    "RATE",
    "ROUTES",
    "SCHEDULE",
    "SECONDS",
    "SERIALIZER",
    "TASK_LOG_FORMAT",
    "TEXT",
    "TLS",
    "WHOLE",
    "ZONE",
    "Kind",
    "Refused",
    "choice",
]


class Kind(msgspec.Struct, frozen=True):
    """A sort of value: what people write, what they read, and the way between."""

    #: One word or two, for tables.
    label: str
    #: Ends the sentence "expected …".
    expects: str
    #: The annotations of ``app.conf``: what reading gives, what may be assigned.
    reads: str
    writes: str
    #: Returns the value to work with or raises ``ValueError``.
    convert: Callable[[Any], Any]
    #: What is right may be made known after a program has set it: it is judged when it is read.
    late: bool = False


_TRUE = frozenset({"true", "yes", "on", "1", "t", "y"})
_FALSE = frozenset({"false", "no", "off", "0", "f", "n", ""})
_HIGHEST_PRIORITY = 255
_LAST_PORT = 65535
_A_FORMAT = "a format such as '%(levelname)s %(message)s'"


def _flag(value: Any) -> bool:
    if isinstance(value, str):
        word = value.strip().lower()
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
    elif isinstance(value, int) and value in {0, 1}:
        return bool(value)
    raise Refused


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Refused
    number = float(value)
    if math.isnan(number):
        raise Refused
    return number


def _integer(value: Any) -> int:
    if isinstance(value, str):
        return int(value)
    number = _number(value)
    if not number.is_integer():
        raise Refused
    return int(value)


def _within(lowest: int, highest: float = math.inf) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        number = _integer(value)
        if not lowest <= number <= highest:
            raise Refused
        return number

    return convert


def _seconds(value: Any) -> float:
    seconds = value.total_seconds() if isinstance(value, timedelta) else _number(value)
    if seconds < 0 or math.isinf(seconds):
        raise Refused
    return seconds


def _positive(value: Any) -> float:
    seconds = _seconds(value)
    if not seconds:
        raise Refused
    return seconds


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Refused
    return value


def _instance(*types: type) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if not isinstance(value, types):
            raise Refused
        return value

    return convert


def _path(value: Any) -> str:
    if not isinstance(value, str | os.PathLike):
        raise Refused
    return str(os.fspath(value))


def _names(value: Any) -> Collection[str]:
    if isinstance(value, str):
        return tuple(name for part in value.split(",") if (name := part.strip()))
    if not isinstance(value, list | tuple | set | frozenset):
        raise Refused
    for name in value:
        _text(name)
    return value


def _content(value: Any) -> Collection[str]:
    accepted = _names(value)
    for name in accepted:
        if "/" not in name and name not in (known := serializers.names()):
            hint = nearest(name, known) or f"; known are {', '.join(known)}"
            raise Refused(f"there is no serializer {name!r}{hint}")
    return accepted


def _serializer(value: Any) -> str:
    known = serializers.names()
    if _text(value) not in known:
        hint = nearest(value, known) or f"; known are {', '.join(known)}"
        raise Refused(f"there is no such serializer{hint}")
    return str(value)


def _zone(value: Any) -> str | tzinfo:
    if isinstance(value, tzinfo):
        return value
    try:
        ZoneInfo(_text(value))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        known = available_timezones()
        if known:
            raise Refused(f"there is no such time zone{nearest(str(value), known)}") from None
    return str(value)


def _level(value: Any) -> str | int:
    if isinstance(value, str) and value.upper() not in logging.getLevelNamesMapping():
        raise Refused
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Refused
    return value


def _concurrency(value: Any) -> int:
    return 0 if value == "auto" else _within(0)(value)


def _delivery_mode(value: Any) -> int | str:
    if value in {"transient", "persistent"}:
        return str(value)
    return _within(1, 2)(value)


def _rate(value: Any) -> str | float:
    amount = value
    if isinstance(value, str):
        amount, _, unit = value.partition("/")
        if unit not in {"", "s", "m", "h"}:
            raise Refused
    if not 0 <= _number(amount) < math.inf:
        raise Refused
    rate: str | float = value
    return rate


def _routes(value: Any) -> Any:
    if not callable(value):
        _instance(Mapping, list, tuple, str)(value)
    return value


def _address(value: Any) -> str:
    host, colon, port = _text(value).rpartition(":")
    if value.startswith(("/", "./")) or (
        host and colon and port.isdecimal() and int(port) <= _LAST_PORT
    ):
        return str(value)
    raise Refused


def _callable(value: Any) -> Any:
    if not callable(value):
        raise Refused
    return value


def choice(*words: str | int) -> Kind:
    """One of these, in the spelling given here; numbers also as text."""

    def convert(value: Any) -> str | int:
        for word in words:
            if value == word or str(value) == str(word):
                return word
        raise Refused(f"expected {expects}{nearest(str(value), map(str, words))}")

    expects = " or ".join(repr(word) for word in words)
    reads = type(words[0]).__name__
    return Kind(expects.replace("'", ""), expects, reads, "str | int", convert)


def _protocol(value: Any) -> int:
    number = _within(1, 2)(value)
    if number == 1:
        raise Unsupported("but messages are written in protocol 2 only; protocol 1 is read")
    return number


FLAG = Kind("flag", "True or False", "bool", "bool | int | str", _flag)
INTEGER = Kind("integer", "a whole number", "int", "int | str", _integer)
WHOLE = Kind("integer", "a whole number, 0 or more", "int", "int | str", _within(0))
COUNT = Kind("integer", "a whole number, 1 or more", "int", "int | str", _within(1))
PRIORITY = Kind(
    "priority", "a whole number from 0 to 255", "int", "int | str", _within(0, _HIGHEST_PRIORITY)
)
PROTOCOL = Kind("2", "2", "int", "int | str", _protocol)
NUMBER = Kind("number", "a number", "float", "float | str", _number)
SECONDS = Kind(
    "seconds",
    "a number of seconds, 0 or more, or a timedelta",
    "float",
    "float | str | timedelta",
    _seconds,
)
POSITIVE = Kind(
    "seconds",
    "a number of seconds above 0, or a timedelta",
    "float",
    "float | str | timedelta",
    _positive,
)
TEXT = Kind("text", "a string", "str", "str", _text)
LOG_FORMAT = Kind("log format", _A_FORMAT, "str", "str", log_format(), late=True)
TASK_LOG_FORMAT = Kind(
    "log format", _A_FORMAT, "str", "str", log_format("task_id", "task_name"), late=True
)
SERIALIZER = Kind("serializer", "the name of a serializer", "str", "str", _serializer, late=True)
BYTES = Kind("text", "a string or bytes", "str | bytes", "str | bytes", _instance(str, bytes))
PATH = Kind("path", "a path", "str", "str | PathLike[str]", _path)
CLASS = Kind(
    "class", "a name, a dotted path or a class", "str | type", "str | type", _instance(str, type)
)
CALLABLE = Kind(
    "function", "something to call", "Callable[..., Any]", "Callable[..., Any]", _callable
)
MAPPING = Kind("mapping", "a dict", "dict[str, Any]", "Mapping[str, Any]", _instance(Mapping))
CONTENT = Kind(
    "serializers",
    "a list of serializers or content types",
    "Collection[str]",
    "str | Collection[str]",
    _content,
    late=True,
)
NAMES = Kind("names", "a list of strings", "Collection[str]", "str | Collection[str]", _names)
QUEUES = Kind(
    "queues",
    "a list of queues or a dict of name and options",
    "Any",
    "Any",
    queues,
)
ANNOTATIONS = Kind(
    "annotations", "a dict, or a list of dicts", "Any", "Any", _instance(Mapping, list, tuple)
)
ROUTES = Kind(
    "routes", "a dict, a list, a function or the dotted path of one", "Any", "Any", _routes
)
SCHEDULE = Kind(
    "schedule",
    "a dict of name and entry",
    "dict[str, Any]",
    "Mapping[str, Any]",
    schedule,
)
BROKER = Kind(
    "URL",
    "a URL such as redis://localhost:6379/0, or a list of URLs",
    "str | list[str]",
    "str | list[str] | tuple[str, ...]",
    broker_url,
)
BACKEND = Kind(
    "URL",
    "a URL, a name, a class or a list of URLs",
    "str | list[str] | type",
    "str | list[str] | type",
    backend_url,
)
TLS = Kind(
    "TLS",
    "True, False or a dict of TLS options",
    "bool | dict[str, Any]",
    "bool | Mapping[str, Any]",
    lambda value: value if isinstance(value, Mapping) else _flag(value),
)
ZONE = Kind(
    "time zone", "the name of a time zone or a tzinfo", "str | tzinfo", "str | tzinfo", _zone
)
LEVEL = Kind("log level", "the name or number of a log level", "str | int", "str | int", _level)
CONCURRENCY = Kind(
    "integer", "a whole number, 0 or more, or 'auto'", "int", "int | str", _concurrency
)
DELIVERY_MODE = Kind(
    "mode", "1, 2, 'transient' or 'persistent'", "int | str", "int | str", _delivery_mode
)
RATE = Kind(
    "rate",
    "a number of tasks per second, or text such as '10/s', '100/m' or '1000/h'",
    "str | float",
    "str | float",
    _rate,
)
ADDRESS = Kind("address", "'host:port' or the path of a socket", "str", "str", _address)
ANYTHING = Kind("anything", "anything", "Any", "Any", lambda value: value)
