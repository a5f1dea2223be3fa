"""Which of the known words somebody meant: the end of every "unknown …" message.

Holds the search for the nearest word and the phrase that offers it. Knows nothing of settings, options or
queues; whoever has a word and the list of right ones calls it. Used only once something is wrong, so it
may take milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["closest", "nearest"]


def nearest(word: str, possibilities: Iterable[str]) -> str:
    """``; did you mean 'task_serializer'?`` ready to be appended to a message, or an empty string."""
    found = closest(word, possibilities)
    return "" if found is None else f"; did you mean {found!r}?"


def closest(word: str, possibilities: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The possibility most like ``word``, upper and lower case being the same; None if none is."""
    folded: dict[str, str] = {}
    for possibility in possibilities:
        folded.setdefault(possibility.casefold(), possibility)
    found = get_close_matches(word.casefold(), folded, n=1, cutoff=cutoff)
    return folded[found[0]] if found else None
