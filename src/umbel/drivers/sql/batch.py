"""Many rows in one statement.

One statement is one call into the database: it holds the write lock, or costs a round trip, once, and
this thread gives the interpreter lock away once. A statement that is repeated is compiled once, so
there are only a few lengths; the rest of a batch is filled up with empty rows.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any

from umbel.drivers.sql.base import Dialect, Values

__all__ = ["LONGEST", "Batch", "chunks"]

_LENGTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
#: The most rows of one statement.
LONGEST = _LENGTHS[-1]


class Batch:
    """``INSERT INTO target (columns) …`` of up to ``LONGEST`` rows. The first value of a row is never
    NULL; empty rows are left out. ``ending`` follows the rows."""

    def __init__(
        self, dialect: Dialect, target: str, columns: Sequence[str], ending: str = ""
    ) -> None:
        self._dialect = dialect
        self._start = f"INSERT INTO {target} ({', '.join(columns)}) "
        self._row = f"({', '.join('?' * len(columns))})"
        self._empty = (None,) * len(columns)
        self._ending = ending
        self._texts: dict[int, str] = {}

    def bind(self, rows: Sequence[Values]) -> tuple[str, list[Any]]:
        """The statement for these rows, and its values."""
        length = _LENGTHS[bisect_left(_LENGTHS, len(rows))]
        values: list[Any] = []
        for row in rows:
            values += row
        values += self._empty * (length - len(rows))
        return self._texts.get(length) or self._text(length), values

    def _text(self, length: int) -> str:
        rows = ", ".join([self._row] * length)
        text = self._texts[length] = self._dialect.adapt(
            f"{self._start}SELECT * FROM (VALUES {rows}) AS given "
            f"WHERE column1 IS NOT NULL {self._ending}"
        )
        return text


def chunks(rows: Sequence[Values], length: int = LONGEST) -> Iterator[Sequence[Values]]:
    """The rows in parts of at most this length."""
    return (rows[start : start + length] for start in range(0, len(rows), length))
