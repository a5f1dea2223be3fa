"""Short text for any value: what log lines, events and the ``argsrepr`` header show of arguments.

The work is bounded by the length of the text, not by the size of the value; a value whose own
``__repr__`` is broken is named by its type. Values under sensitive names are masked here, so that
they never get into a header, an event or a log line. Nothing here can be read back as data.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from typing import Any

__all__ = ["MASK", "represent"]

#: What is shown in place of a sensitive value.
MASK = "'***'"

_LEVELS = 3
_ELLIPSIS = "..."
_NOTHING: frozenset[str] = frozenset()
_SCALARS = frozenset({int, bool, float, type(None)})
#: Longer values take the careful way, where every piece is bounded before it is made.
_FEW = 16
_SHORT = 100
#: Containers whose own repr would do all the work before it can be cut.
_LARGE = 1000
_SIZED = (list, tuple, dict, set, frozenset, deque)
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), 127)} | {9: "\\t", 10: " ", 13: " "}


def represent(value: Any, limit: int = 1024, sensitive: Collection[str] = _NOTHING) -> str:
    """At most ``limit`` characters of ``repr(value)``; never raises. Containers are shown three
    levels deep; values under a mapping key in ``sensitive`` are shown as ``'***'``."""
    if type(value) is dict and not value:  # most calls have no keyword arguments
        text = "{}"
    elif not sensitive and _is_small(value):
        try:
            text = repr(value)
        except ValueError:  # an integer above Python's digit limit
            text = _write(value, limit, sensitive)
    else:
        text = _write(value, limit, sensitive)
    return text if len(text) <= limit else text[: max(limit - 3, 0)] + _ELLIPSIS[:limit]


def _is_small(value: Any) -> bool:
    """Whether Python's own repr is short work: a scalar, or a few of them in one container."""
    kind = type(value)
    if kind is tuple or kind is list:
        items = value
    elif kind is dict:
        items = (*value, *value.values()) if len(value) <= _FEW else (value,)
    else:
        items = (value,)
    if len(items) > _FEW * 2:
        return False
    for item in items:
        kind = type(item)
        if kind not in _SCALARS and (kind is not str or len(item) > _SHORT):
            return False
    return True


def _write(value: Any, limit: int, sensitive: Collection[str]) -> str:
    writer = _Writer(limit, sensitive)
    try:
        writer.write(value, 0)
    except Exception:  # noqa: BLE001 - the promise is to never raise
        writer.pieces.append(_unrepresentable(value))
    return "".join(writer.pieces)


class _Writer:
    """Collects pieces of text until there is no room left."""

    __slots__ = ("pieces", "room", "sensitive")

    def __init__(self, room: int, sensitive: Collection[str]) -> None:
        self.room = room
        self.sensitive = sensitive
        self.pieces: list[str] = []

    def put(self, text: str) -> None:
        self.pieces.append(text)
        self.room -= len(text)

    def write(self, value: Any, level: int) -> None:
        kind = type(value)
        own: object = kind.__repr__
        if isinstance(value, str | bytes) and own in (str.__repr__, bytes.__repr__):
            self._write_text(value)
        elif isinstance(value, dict) and own is dict.__repr__:
            self._write_mapping(value, level)
        elif isinstance(value, list) and own is list.__repr__:
            self._write_items("[", value, "]", level)
        elif isinstance(value, tuple) and own is tuple.__repr__:
            self._write_items("(", value, ",)" if len(value) == 1 else ")", level)
        elif kind is set and value:
            self._write_items("{", value, "}", level)
        elif kind is frozenset and value:
            self._write_items("frozenset({", value, "})", level)
        else:
            self.put(_foreign(value, max(self.room, 0)))

    def _write_text(self, value: str | bytes) -> None:
        room = max(self.room, 0)
        if len(value) <= room:
            self.put(repr(value[:]))
        else:
            self.put(repr(value[:room]) + _ELLIPSIS)

    def _write_items(self, opening: str, items: Collection[Any], closing: str, level: int) -> None:
        self.put(opening)
        if items and level >= _LEVELS:
            self.put(_ELLIPSIS)
        else:
            for item in self._while_room(items):
                self.write(item, level + 1)
        self.put(closing)

    def _write_mapping(self, value: dict[Any, Any], level: int) -> None:
        self.put("{")
        if value and level >= _LEVELS:
            self.put(_ELLIPSIS)
        else:
            for key, item in self._while_room(value.items()):
                self.write(key, level + 1)
                self.put(": ")
                if isinstance(key, str) and key in self.sensitive:
                    self.put(MASK)
                else:
                    self.write(item, level + 1)
        self.put("}")

    def _while_room(self, items: Iterable[Any]) -> Iterable[Any]:
        separator = ""
        for item in items:
            self.put(separator)
            if self.room <= 0:
                self.put(_ELLIPSIS)
                return
            yield item
            separator = ", "


def _foreign(value: Any, room: int) -> str:
    """The value's own repr, cut to ``room`` and made safe to print and to encode."""
    kind = type(value)
    if isinstance(value, _SIZED) and len(value) > _LARGE:
        return f"<{kind.__module__}.{kind.__qualname__} of {len(value)} items>"
    try:
        text = repr(value)
    except ValueError:
        if isinstance(value, int):
            return f"<int of {value.bit_length()} bits>"
        return _unrepresentable(value)
    except Exception:  # noqa: BLE001 - any __repr__ may be broken in any way
        return _unrepresentable(value)
    text = str.__str__(text[:room]) + _ELLIPSIS if len(text) > room else str.__str__(text)
    if text.isascii() and text.isprintable():
        return text
    return text.translate(_CONTROLS).encode("utf-8", "backslashreplace").decode("utf-8")


def _unrepresentable(value: Any) -> str:
    try:
        name = type(value).__name__
    except Exception:  # noqa: BLE001 - a metaclass may refuse even that
        name = "?"
    return f"<Unrepresentable {name!r} object>"
