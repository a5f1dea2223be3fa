"""A logical clock: what happened before what, among nodes whose wall clocks disagree.

Every event and reply carries its value, and whoever hears a higher one goes on from there. The
processes of a worker share one: its number is in memory that survives a fork.
"""

from __future__ import annotations

import mmap
import struct
from typing import Any

__all__ = ["LamportClock"]

#: Native and aligned, so that it is read and written in one piece.
_NUMBER = struct.Struct("@Q")
#: Above it somebody's clock is broken, and ours is not to follow.
_HIGHEST = 2**53


class LamportClock:
    """No locks: two processes that count at the very same moment may give the same number, which
    says of both that neither came first."""

    __slots__ = ("_memory",)

    def __init__(self, initial_value: int = 0) -> None:
        self._memory = mmap.mmap(-1, _NUMBER.size)
        _NUMBER.pack_into(self._memory, 0, initial_value)

    @property
    def value(self) -> int:
        """The last number."""
        number: int = _NUMBER.unpack_from(self._memory)[0]
        return number

    def forward(self) -> int:
        """Something happens here; its number."""
        number: int = _NUMBER.unpack_from(self._memory)[0] + 1
        _NUMBER.pack_into(self._memory, 0, number)
        return number

    def adjust(self, other: Any) -> int:
        """Something with this number was heard of; the number of hearing it. What cannot be a
        number of a clock counts as none."""
        if type(other) is int and self.value < other < _HIGHEST:
            _NUMBER.pack_into(self._memory, 0, other)
        return self.forward()

    def __repr__(self) -> str:
        return f"<LamportClock {self.value}>"

    def __str__(self) -> str:
        return str(self.value)
