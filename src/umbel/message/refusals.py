"""What to tell somebody whose argument cannot be serialized: where it is, and what to pass instead.

Called only after a serializer has refused a value, so it may take its time: it walks down to the
innermost part that is refused. It shows types, never values.
"""

from __future__ import annotations

import dataclasses
import io
from collections import deque
from collections.abc import Callable, Collection, Iterator
from enum import Enum
from pathlib import PurePath
from types import AsyncGeneratorType, GeneratorType
from typing import Any

from umbel.message.representation import represent
from umbel.message.tracebacks import one_line

__all__ = ["GENERATORS", "explain", "explain_generator"]

#: What a function returns that has not done its work yet, and never will as a task.
GENERATORS = frozenset({GeneratorType, AsyncGeneratorType})
_DEPTH = 100
#: What serializers say where the type alone is the reason.
_STOCK = ("is not JSON serializable", "cannot represent an object")


def explain(
    value: Any, place: str, encode: Callable[[Any], object], language: str, error: Exception
) -> str:
    """One line: the innermost part of ``value`` that ``encode`` refuses, and the nearest thing
    that it accepts. ``place`` is what ``value`` is called, such as ``args``."""
    parents: list[Any] = []
    while len(parents) < _DEPTH:
        if any(value is parent for parent in parents):
            return f"{place} contains itself and cannot be serialized as {language}"
        parents.append(value)
        found = _first_refused(value, encode)
        if found is None:
            return _describe(value, place, language, error)
        step, part, refusal = found
        if step is None:
            return (
                f"{place}: the key {represent(part, 80)} ({_type_name(part)}) cannot be "
                f"serialized as {language}; use a string"
            )
        place, value, error = place + step, part, refusal
    return f"{place[:200]}… is nested too deeply to be serialized as {language}"


def explain_generator(value: Any) -> str:
    """One line on a task that returned one of ``GENERATORS``."""
    kind = "an async generator" if type(value) is AsyncGeneratorType else "a generator"
    return (
        f"the task returned {kind} ({value.__qualname__}), which is no result: nobody could ask it for its "
        "values; return a list of them, or send a task for each"
    )


def _first_refused(
    value: Any, encode: Callable[[Any], object]
) -> tuple[str | None, Any, Exception] | None:
    for step, part in _parts(value):
        refusal = _attempt(encode, {part: None} if step is None else part)
        if refusal is not None:
            return step, part, refusal
    return None


def _attempt(encode: Callable[[Any], object], value: Any) -> Exception | None:
    try:
        encode(value)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the reason
        return error
    return None


def _parts(value: Any) -> Iterator[tuple[str | None, Any]]:
    """Steps down from here: how the step is written (None for a key itself) and the part."""
    if isinstance(value, dict):
        for key in value:
            yield None, key
        for key, part in value.items():
            yield f"[{represent(key, 80)}]", part
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield f"[{index}]", part
    elif callable(getattr(value, "__json__", None)) and not isinstance(value, type):
        try:
            part = value.__json__()
        except Exception:  # noqa: BLE001 - the serializer met the same error and reports it
            return
        yield ".__json__()", part


def _describe(value: Any, place: str, language: str, error: Exception) -> str:
    reason = one_line(error)
    if isinstance(error, RecursionError):
        reason = "nested too deeply"
    shown = "" if any(text in reason for text in _STOCK) else f" ({reason})"
    return f"{place}: {_type_name(value)} cannot be serialized as {language}{shown}; {_hint(value)}"


def _type_name(value: Any) -> str:
    kind = value if isinstance(value, type) else type(value)
    prefix = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"<class '{prefix}{kind.__qualname__}'>"


def _hint(value: Any) -> str:
    """The nearest thing that can be sent instead."""
    kind = type(value)
    for is_so, hint in _HINTS:
        if is_so(value, kind):
            return hint
    return "pass plain data, give the class a __json__() method, or teach it with register_type()"


_HINTS: tuple[tuple[Callable[[Any, type], bool], str], ...] = (
    (
        lambda _, kind: hasattr(kind, "_meta") and hasattr(kind, "pk"),
        "pass its primary key, or plain data, and load the object in the task",
    ),
    (lambda _, kind: hasattr(kind, "values_list"), "pass a list of primary keys"),
    (lambda value, _: isinstance(value, type), "pass a name; classes do not travel"),
    (lambda value, _: isinstance(value, Enum), "pass its .value"),
    (lambda _, kind: dataclasses.is_dataclass(kind), "pass dataclasses.asdict() of it"),
    (lambda _, kind: hasattr(kind, "model_dump"), "pass its .model_dump(mode='json')"),
    (lambda _, kind: hasattr(kind, "__struct_fields__"), "pass msgspec.to_builtins() of it"),
    (lambda value, _: isinstance(value, bytearray | memoryview), "pass bytes"),
    (lambda value, _: isinstance(value, PurePath), "pass str() of it"),
    (lambda value, _: isinstance(value, BaseException), "pass str() of it"),
    (lambda value, _: isinstance(value, io.IOBase), "pass the path of the file"),
    (lambda value, _: isinstance(value, str), "pass text without lone surrogates"),
    (lambda value, _: isinstance(value, int | float), "pass it as text"),
    (
        lambda value, _: isinstance(value, deque | range | Iterator | Collection),
        "pass a list of plain data",
    ),
    (lambda value, _: callable(value), "pass data; functions do not travel"),
)
