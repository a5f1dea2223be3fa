"""Stamps: what a sender wrote on several messages, so that they can be found again together.

They travel in the header ``stamps``, name -> value or values. Revoked stamps are remembered among the
ids of revoked tasks, as texts that no id looks like.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["is_stamp", "marks_of"]

_MARK: Final = "stamp:"


def marks_of(stamps: Any) -> set[str]:
    """One text for each name and value; of what is no mapping, none."""
    if not isinstance(stamps, Mapping):
        return set()
    return {f"{_MARK}{name}={value}" for name, given in stamps.items() for value in _values(given)}


def is_stamp(text: str) -> bool:
    """Whether this stands for a stamp among the ids of tasks."""
    return text.startswith(_MARK)


def _values(given: Any) -> list[Any]:
    return list(given) if isinstance(given, list | tuple | set | frozenset) else [given]
