"""Callbacks and errbacks as they are given and as they travel: one signature or several.

Whatever a caller hands in as ``link`` or ``link_error`` is looked at here, so that what is no signature is
refused at the call. What signatures are is ``signature.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from umbel.message.body import NO_EMBED
from umbel.message.representation import represent

__all__ = ["as_list", "check_link", "embed_of", "embedded", "links_of"]

_SEQUENCES = (list, tuple)


def embed_of(name: str, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """What follows a call of the task ``name`` with these options; None where nothing does."""
    if "link" not in options and "link_error" not in options:
        return None
    links = links_of(name, options)
    return {**NO_EMBED, **links} if any(links.values()) else None


def links_of(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The callbacks and errbacks among these options, under the names by which they travel."""
    return {
        part: embedded(options[option], of=f"{name}: {option}")
        for option, part in (("link", "callbacks"), ("link_error", "errbacks"))
        if option in options
    }


def embedded(links: Any, *, of: str) -> list[dict[str, Any]] | None:
    """One signature or several, as they travel in a message; None where there is none. ``of`` says
    what they were given as, for the complaint about what is no signature."""
    if links is None:
        return None
    found = as_list(links)
    for link in found:
        check_link(link, of=of)
    return [_plain(link) for link in found] or None


def check_link(link: Any, *, of: str) -> None:
    """Raise ``TypeError`` for what is no signature; ``of``: as what it was given."""
    if isinstance(link, Mapping) and isinstance(link.get("task"), str):
        return
    hint = "a signature, such as task.s()"
    if hasattr(link, "apply_async") and hasattr(link, "name"):
        hint = f"a signature; did you mean {str(link.name).rpartition('.')[2]}.s()?"
    raise TypeError(f"{of} must be {hint}, not {represent(link, 80)}")


def _plain(value: Any) -> Any:
    """Without classes of ours, so that every serializer writes it and Celery reads it."""
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, _SEQUENCES) else value


def as_list(links: Any) -> list[Any]:
    """None, one or several, as a list of its own."""
    if links is None:
        return []
    return list(links) if isinstance(links, (*_SEQUENCES, set, Iterator)) else [links]
