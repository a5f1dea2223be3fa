"""Whom a control command is for: everybody, nodes by name, or nodes whose name fits a pattern.

As it travels in Celery's form (``destination``, ``pattern``, ``matcher``). Each node that hears a command
decides by this whether it is meant; whoever told it, whose replies are still to come.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any, Final

from umbel.spelling import nearest

__all__ = ["MATCHERS", "Audience"]


def _glob(pattern: str) -> Callable[[str], bool]:
    return lambda node: fnmatchcase(node, pattern)


def _regex(pattern: str) -> Callable[[str], bool]:
    match = re.compile(pattern).match
    return lambda node: match(node) is not None


#: kombu's names; ``pcre`` is Python's ``re.match``.
MATCHERS: Final[dict[str, Callable[[str], Callable[[str], bool]]]] = {
    "glob": _glob,
    "pcre": _regex,
}


class Audience:
    """``destination``: names of nodes, or one. ``pattern`` is a glob unless ``matcher`` says ``pcre``."""

    def __init__(
        self,
        destination: Iterable[str] | str | None = None,
        pattern: str | None = None,
        matcher: str | None = None,
    ) -> None:
        self.destination = _names(destination)
        self.pattern = pattern or None
        self.matcher = matcher if matcher is None and not pattern else matcher or "glob"
        self._fits = _compile(self.pattern, self.matcher)

    @property
    def everybody(self) -> bool:
        """No node is left out."""
        return not self.destination and self._fits is None

    def includes(self, node: str) -> bool:
        """Whether this node is meant. Names go before a pattern, as with Celery."""
        if self.destination:
            return node in self.destination
        return self._fits is None or self._fits(node)

    def form(self) -> dict[str, Any]:
        """As it travels."""
        pattern = self.pattern
        return {
            "destination": self.destination or None,
            "pattern": pattern,
            "matcher": self.matcher if pattern else None,
        }


def _names(destination: Iterable[str] | str | None) -> list[str]:
    if destination is None:
        return []
    names = [destination] if isinstance(destination, str) else list(destination)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"destination must be names of nodes, not {name!r}")
    return list(dict.fromkeys(names))


def _compile(pattern: Any, matcher: Any) -> Callable[[str], bool] | None:
    if pattern is None:
        return None
    if not (isinstance(pattern, str) and isinstance(matcher, str)):
        raise TypeError(f"pattern and matcher must be text, not {pattern!r} and {matcher!r}")
    if matcher not in MATCHERS:
        known = " or ".join(map(repr, MATCHERS))
        raise ValueError(f"matcher must be {known}, not {matcher!r}{nearest(matcher, MATCHERS)}")
    try:
        return MATCHERS[matcher](pattern)
    except re.error as error:
        raise ValueError(f"pattern {pattern!r} is no regular expression: {error}") from None
