"""Values with parts of their own that have to be right: queues, a schedule, the format of a log line.

Part of ``kinds.py``. Containers are handed through as they are; what their parts mean is known to those who read them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from umbel.app.settings_table.refused import Refused
from umbel.spelling import nearest

__all__ = ["log_format", "queues", "schedule"]

_QUEUE = "expected its name, a dict with 'name', or an object with name and routing_key"
_DETAILS = "expected a dict of options, an object with name and routing_key, or None"


def queues(value: Any) -> Any:
    """A list of queues, or a dict of name and options."""
    if not isinstance(value, Mapping | list | tuple | set | frozenset):
        raise Refused
    if isinstance(value, Mapping):
        for name, details in value.items():
            if not isinstance(name, str):
                raise Refused(f"but {name!r} in it is no name of a queue")
            if not (details is None or isinstance(details, str | Mapping) or _is_queue(details)):
                raise Refused(f"but its {name!r} is {details!r}; {_DETAILS}")
        return value
    for item in value:
        named = isinstance(item, Mapping) and isinstance(item.get("name"), str)
        if not (isinstance(item, str) or named or _is_queue(item)):
            raise Refused(f"but {item!r} in it is no queue; {_QUEUE}")
    return value


def _is_queue(value: Any) -> bool:
    """An object such as kombu's ``Queue``."""
    return isinstance(getattr(value, "name", None), str) and hasattr(value, "routing_key")


def schedule(value: Any) -> Any:
    """A dict of name and entry."""
    if not isinstance(value, Mapping):
        raise Refused
    for name, entry in value.items():
        if isinstance(entry, Mapping):
            for key in ("task", "schedule"):
                if key not in entry:
                    raise Refused(f"its entry {name!r} has no {key!r}")
        elif not hasattr(entry, "schedule"):
            raise Refused(
                f"its entry {name!r} is neither a dict with 'task' and 'schedule' nor a schedule entry"
            )
    return value


def log_format(*additional: str) -> Callable[[Any], str]:
    """A format, judged by writing a line with it; a factory of log records may have made more names
    known; or "json". ``additional``: names that the formatter itself knows."""

    def convert(value: Any) -> str:
        if not isinstance(value, str):
            raise Refused
        if value == "json":
            return value
        line = vars(logging.makeLogRecord(dict.fromkeys(("asctime", "message", *additional), "")))
        try:
            logging.Formatter(value)
            _ = value % line
        except KeyError as error:
            name = str(error.args[0])
            raise Refused(f"but log records have no {name!r}{nearest(name, line)}") from None
        except (TypeError, ValueError):
            raise Refused from None
        return value

    return convert
