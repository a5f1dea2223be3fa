"""The story of a failure as text: frames, causes, groups and notes, as Python prints them.

The standard library's formatter reads all of an exception before it prints any; this one takes a
bounded number of frames, causes and members, so that a failure of any size costs little, and it
never raises, whatever the exception's own methods do.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from types import TracebackType

__all__ = ["format_traceback", "message_of", "one_line"]

_TEXT = 8192

_FIRST_FRAMES = 20
_LAST_FRAMES = 40
_ENTRY = 2000
_LINKS = 10
_MEMBERS = 16
_DEPTH = 3
_CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"


def message_of(exc: BaseException, limit: int = _TEXT) -> str:
    """``str(exc)``, at most ``limit`` characters, or a stand-in where that is broken."""
    try:
        text = str.__str__(str(exc))
    except BaseException:  # noqa: BLE001 - user code that may raise anything at all
        return f"<unprintable {type(exc).__name__} object>"
    return text if len(text) <= limit else text[:limit] + "…"


def one_line(exc: BaseException, limit: int = 200) -> str:
    """``message_of`` on one line, for error messages that quote another error; it can be written
    as UTF-8 whatever the error holds."""
    line = " ".join(message_of(exc, limit).split())
    return line.encode("utf-8", "backslashreplace").decode("utf-8")


def format_traceback(exc: BaseException, limit_bytes: int = 65536) -> str:
    """What Python would print, at most ``limit_bytes`` long in UTF-8; where something had to be
    left out, the end, which names the error, is kept. Free of NULs and lone surrogates."""
    try:
        text = "".join(_format_chain(exc, 0))
    except BaseException:  # noqa: BLE001 - a failure must not fail for being described
        text = f"{_title(exc)}\n"
    return _shorten(text.replace("\0", "\\x00"), limit_bytes)


def _shorten(text: str, limit: int) -> str:
    data = text.encode("utf-8", "backslashreplace")
    if len(data) <= limit:
        return data.decode("utf-8")
    mark = f"\n  [... {len(data) - limit} bytes left out ...]\n".encode()
    room = max(limit - len(mark), 0)
    head, tail = data[: room // 4], data[len(data) - (room - room // 4) :]
    return (head + mark + tail)[-limit:].decode("utf-8", "ignore") if limit > 0 else ""


def _format_chain(exc: BaseException, depth: int) -> Iterator[str]:
    links = _links(exc)
    if len(links) > _LINKS:
        yield f"[{len(links) - _LINKS} or more earlier exceptions left out]\n\n"
    for link, joint in reversed(links[:_LINKS]):
        yield from _format_one(link, depth)
        yield joint


def _links(exc: BaseException) -> list[tuple[BaseException, str]]:
    """This exception and what led to it, the newest first, each with the words that follow it."""
    links: list[tuple[BaseException, str]] = []
    seen: set[int] = set()
    joint, link = "", exc
    while id(link) not in seen and len(links) <= _LINKS:
        seen.add(id(link))
        links.append((link, joint))
        if link.__cause__ is not None:
            joint, link = _CAUSE, link.__cause__
        elif link.__context__ is not None and not link.__suppress_context__:
            joint, link = _CONTEXT, link.__context__
    return links


def _format_one(exc: BaseException, depth: int) -> Iterator[str]:
    if exc.__traceback__ is not None:
        yield "Traceback (most recent call last):\n"
        try:
            yield from _format_frames(exc.__traceback__)
        except Exception:  # noqa: BLE001 - reading source lines may run a foreign loader
            yield "  [the frames cannot be shown]\n"
    text = message_of(exc)
    yield f"{_title(exc)}: {text}\n" if text else f"{_title(exc)}\n"
    notes = getattr(exc, "__notes__", None)
    for note in notes[:_MEMBERS] if isinstance(notes, list) else ():
        yield f"{note:.{_ENTRY}}\n" if isinstance(note, str) else f"{type(note).__name__} as note\n"
    if isinstance(exc, BaseExceptionGroup):
        yield from _format_members(exc, depth)


def _format_frames(first: TracebackType) -> Iterator[str]:
    count = 0
    link: TracebackType | None = first
    while link is not None:
        count, link = count + 1, link.tb_next
    if count <= _FIRST_FRAMES + _LAST_FRAMES:
        yield from _entries(first, count)
        return
    yield from _entries(first, _FIRST_FRAMES)
    yield f"  [{count - _FIRST_FRAMES - _LAST_FRAMES} frames left out]\n"
    yield from _entries(first, -_LAST_FRAMES)


def _entries(first: TracebackType, limit: int) -> Iterator[str]:
    for entry in traceback.extract_tb(first, limit).format():
        yield entry if len(entry) <= _ENTRY else entry[:_ENTRY] + "…\n"


def _format_members(group: BaseExceptionGroup[BaseException], depth: int) -> Iterator[str]:
    count = len(group.exceptions)
    for number, member in enumerate(group.exceptions[:_MEMBERS], 1):
        yield f"  +---------------- {number} of {count} ----------------\n"
        if depth >= _DEPTH:
            yield f"  | {_title(member)}\n"
            continue
        for line in "".join(_format_chain(member, depth + 1)).splitlines():
            yield f"  | {line}\n"
    if count > _MEMBERS:
        yield f"  | [{count - _MEMBERS} more left out]\n"


def _title(exc: BaseException) -> str:
    kind = type(exc)
    if kind.__module__ in {"builtins", "__main__"}:
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"
