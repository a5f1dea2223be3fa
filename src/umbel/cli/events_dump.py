"""``umbel events --dump``: a line for each event, for people or as JSON for programs."""

from __future__ import annotations

import json
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any, Final

from umbel.cli.events_text import printable

__all__ = ["Dump"]

#: Tasks whose names are remembered, since only the first event tells it.
_REMEMBERED: Final = 10_000

_COMMON: Final = frozenset(
    {"type", "hostname", "timestamp", "uuid", "name", "local_received", "utcoffset"}
)


class Dump:
    """Makes lines of events."""

    def __init__(self, *, as_json: bool = False) -> None:
        self._as_json = as_json
        self._names: OrderedDict[str, str] = OrderedDict()

    def line(self, event: dict[str, Any]) -> str:
        """``worker@host [2026-01-02 03:04:05.678+00:00] task-started: add(id) …``, or JSON."""
        if self._as_json:
            return json.dumps(event, default=str)
        fields = (
            f"{name}={value!r}"
            for name, value in event.items()
            if name not in _COMMON and value is not None
        )
        what = " ".join([self._task(event), *fields]).strip()
        head = f"{event.get('hostname')} [{_moment(event.get('timestamp'))}] {event['type']}"
        return printable(f"{head}: {what}" if what else head)

    def _task(self, event: dict[str, Any]) -> str:
        uuid = event.get("uuid")
        if not isinstance(uuid, str):
            return ""
        name = event.get("name")
        if isinstance(name, str):
            self._names[uuid] = name
            while len(self._names) > _REMEMBERED:
                self._names.popitem(last=False)
        return f"{self._names.get(uuid, '')}({uuid})"


def _moment(timestamp: Any) -> str:
    try:
        return datetime.fromtimestamp(timestamp, UTC).isoformat(" ", "milliseconds")
    except (TypeError, ValueError, OverflowError, OSError):
        return str(timestamp)
