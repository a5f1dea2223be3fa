"""Stores that live in this process and nowhere else, found by their name.

``memory://`` and ``memory://name`` mean the same store wherever they are written in one process, for as
long as it lives or until ``erase``. A broker and a result backend of one name share a store, each
with a part of its own. A forked child begins with empty stores: what it inherited belongs to its
parent, which will work on it.
"""

from __future__ import annotations

import os
import threading
from typing import Any, Protocol, TypeVar

__all__ = ["Memory", "Part", "erase", "memory"]


class Part(Protocol):
    """What one user of a store keeps in it."""

    def reset(self) -> None:
        """Be as new, with new locks: in a forked child the old ones may be held for ever."""


P = TypeVar("P", bound=Part)


class Memory:
    """One named store."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._parts: dict[type[Any], Part] = {}
        self._making = threading.Lock()

    def part(self, kind: type[P]) -> P:
        """The part of this kind; made when it is first asked for."""
        with self._making:
            found = self._parts.get(kind)
            if found is None:
                found = self._parts[kind] = kind()
        assert isinstance(found, kind)
        return found

    def reset(self) -> None:
        """Forget everything that is kept here."""
        self._making = threading.Lock()
        for part in self._parts.values():
            part.reset()


_stores: dict[str, Memory] = {}


def memory(url: str) -> Memory:
    """The store that this URL names: ``memory://name``."""
    name = url.partition("://")[2].partition("?")[0].strip("/")
    found = _stores.get(name)
    return _stores.setdefault(name, Memory(name)) if found is None else found


def erase(url: str) -> None:
    """Forget what is kept in the store of this URL: for tests that share a process."""
    memory(url).reset()


def _begin_anew() -> None:
    for store in list(_stores.values()):
        store.reset()


os.register_at_fork(after_in_child=_begin_anew)
