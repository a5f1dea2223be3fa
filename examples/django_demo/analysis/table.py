"""Reads a table (CSV, with whatever separator) and describes its columns.

One pass, bounded memory: of every numeric column a random sample of values is kept for the chart
(the same sample each time), everything else is a handful of totals. Columns beyond the first
``COLUMN_LIMIT`` are only counted.
"""

from __future__ import annotations

import csv
import math
import random
import re
import sys
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

__all__ = ["COLUMN_LIMIT", "Table", "detect_separator"]

COLUMN_LIMIT = 100
_SEPARATORS = ",;\t|"
_SAMPLE_SIZE = 5_000
_BARS = 20
_TEXT_LENGTH = 80
#: Digits after the point, and numbers, from which on labels have an exponent.
_DECIMALS = 8
_LARGE = 1e15
#: 0.3 / 0.1 is a little less than 3.
_TOLERANCE = 1e-9
_DATE = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?$"
)


def detect_separator(lines: Iterable[str]) -> str | None:
    """The separator that stands equally often, at least once, in the most of these lines.

    None when no separator does so in at least half of them.
    """
    filled = [line for line in lines if line.strip()]
    best, best_score = None, (0.5, 0)
    for separator in _SEPARATORS:
        widths = [len(row) for row in csv.reader(filled, delimiter=separator)]
        width = max(set(widths), key=widths.count, default=1)
        score = (widths.count(width) / len(widths) if widths else 0, width)
        if width > 1 and score > best_score:
            best, best_score = separator, score
    return best


class _Column:
    """The totals of one column; its type shows only when all cells were seen."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.empty = 0
        self.texts = 0
        self.dates = 0
        self.numbers = 0
        self.whole = True
        self.total = 0.0
        self.low = math.inf
        self.high = -math.inf
        self.first_text: str | None = None
        self.last_text: str | None = None
        #: Each number one more than the last: a row number, not worth a chart.
        self.counting = True
        self.sample: list[float] = []
        self._previous: float | None = None
        self._random = random.Random(name)

    def add(self, cell: str, decimal_comma: bool) -> None:
        cell = cell.strip()
        if not cell:
            self.empty += 1
            return
        number = _parse_number(cell, decimal_comma)
        if number is None:
            self._add_text(cell[:_TEXT_LENGTH])
        else:
            self._add_number(number)

    def _add_text(self, cell: str) -> None:
        if _DATE.match(cell):
            self.dates += 1
        else:
            self.texts += 1
        if self.first_text is None or cell < self.first_text:
            self.first_text = cell
        if self.last_text is None or cell > self.last_text:
            self.last_text = cell

    def _add_number(self, number: float) -> None:
        self.numbers += 1
        self.total += number
        self.low = min(self.low, number)
        self.high = max(self.high, number)
        self.whole = self.whole and number.is_integer()
        self.counting = self.counting and self._previous in {None, number - 1}
        self._previous = number
        if len(self.sample) < _SAMPLE_SIZE:
            self.sample.append(number)
        elif (place := int(self._random.random() * self.numbers)) < _SAMPLE_SIZE:
            self.sample[place] = number

    @property
    def numeric(self) -> bool:
        """At least nine filled cells of ten are numbers."""
        return self.numbers > 0 and self.numbers >= 9 * (self.texts + self.dates)

    def row(self) -> dict[str, Any]:
        filled = self.numbers + self.dates + self.texts
        row = {"name": self.name, "filled": filled, "empty": self.empty, "exceptions": 0}
        if self.numeric:
            return row | {
                "type": "integer" if self.whole else "decimal",
                "minimum": _as_number(self.low),
                "maximum": _as_number(self.high),
                "mean": _as_number(_round_mean(self.total / self.numbers)),
                "exceptions": self.texts + self.dates,
            }
        if not filled:
            return row | {"type": "empty", "minimum": None, "maximum": None, "mean": None}
        dates = self.dates == filled
        return row | {
            "type": "date" if dates else "text",
            "minimum": self.first_text,
            "maximum": self.last_text,
            "mean": None,
        }


class Table:
    """The totals of one table. ``read`` its lines, then ask for the ``report``."""

    def __init__(self, separator: str) -> None:
        self._separator = separator
        self._columns: list[_Column] = []
        self._header = False
        self._rows = 0
        self._width = 0
        self._uneven = 0
        self._malformed = 0

    def read(self, lines: Iterable[str]) -> None:
        """Count every row of these lines."""
        rows = self._parse(lines)
        first, second = next(rows, []), next(rows, [])
        self._width = len(first)
        self._header = _is_header(first, second)
        names = first if self._header else [""] * len(first)
        self._columns = [
            _Column(name.strip()[:_TEXT_LENGTH] or f"Column {number}")
            for number, name in enumerate(names[:COLUMN_LIMIT], 1)
        ]
        if not self._header:
            self._add(first)
        if second:
            self._add(second)
        for row in rows:
            self._add(row)

    def _parse(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """Rows that are not blank. A quote that never closes spoils one row, not the rest."""
        source = iter(lines)
        while True:
            reader = csv.reader((f"{line}\n" for line in source), delimiter=self._separator)
            try:
                yield from (row for row in reader if row)
            except csv.Error:
                self._malformed += 1
            else:
                return

    def _add(self, row: list[str]) -> None:
        self._rows += 1
        if len(row) != self._width:
            self._uneven += 1
        decimal_comma = self._separator == ";"
        for column, cell in zip(self._columns, row, strict=False):
            column.add(cell, decimal_comma)

    def report(self) -> dict[str, Any]:
        """Everything that the page shows, as plain data."""
        return {
            "kind": "table",
            "rows": self._rows,
            "width": self._width,
            "header": self._header,
            "separator": {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar"}[self._separator],
            "uneven": self._uneven,
            "malformed": self._malformed,
            "columns": [column.row() for column in self._columns],
            "histogram": self._histogram(),
        }

    def _histogram(self) -> dict[str, Any] | None:
        """Of the first numeric column that has something to show."""
        for column in self._columns:
            if column.numeric and column.high > column.low and not column.counting:
                return {
                    "column": column.name,
                    "sampled": column.numbers > len(column.sample),
                    "bars": _count_by_range(column),
                }
        return None


def _is_header(first: list[str], second: list[str]) -> bool:
    """Different names, none of them a number or a date, above a row that is not all such names."""
    names = [cell.strip() for cell in first]
    named = all(names) and len(set(names)) == len(names)
    if not named or any(_is_value(name) for name in names):
        return False
    return (
        not second or any(_is_value(cell.strip()) for cell in second) or len(second) == len(first)
    )


def _is_value(cell: str) -> bool:
    return _parse_number(cell, decimal_comma=True) is not None or _DATE.match(cell) is not None


def _parse_number(cell: str, decimal_comma: bool) -> float | None:
    if decimal_comma and "," in cell:
        cell = cell.replace(".", "").replace(",", ".")
    try:
        number = float(cell)
    except ValueError:
        return None
    # float() also reads "nan", "inf" and "1_000", which people mean as text.
    return number if math.isfinite(number) and "_" not in cell else None


def _as_number(value: float) -> int | float:
    if not math.isfinite(value):
        return 0
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _round_mean(value: float) -> float:
    """Six digits, but never a digit before the point less."""
    return float(f"{value:.6g}") if abs(value) < 100_000 else round(value, 1)  # noqa: PLR2004 - six digits


def _count_by_range(column: _Column) -> list[list[Any]]:
    """Equal ranges from minimum to maximum; integers of a small range get a bar each."""
    if column.whole and column.high - column.low < _BARS:
        step, decimals = 1.0, 0
        first, last = int(column.low), int(column.high) + 1
        labels = [_label(number, 0) for number in range(first, last)]
    else:
        step, decimals = _round_step(column.low, column.high)
        first = _place(column.low, step)
        last = max(math.ceil(column.high / step - _TOLERANCE), first + 1)
        edges = [_label(number * step, decimals) for number in range(first, last + 1)]
        labels = [f"{low} to {high}" for low, high in pairwise(edges)]
    totals = [0] * (last - first)
    for value in column.sample:
        totals[min(_place(value, step), last - 1) - first] += 1
    return [[label, total] for label, total in zip(labels, totals, strict=True)]


def _round_step(low: float, high: float) -> tuple[float, int]:
    """The smallest of 1, 2, 2.5, 5, 10, … of which at most ``_BARS`` reach from low to high, and
    how many decimals it has."""
    wanted = max(high / _BARS - low / _BARS, sys.float_info.min)
    exponent = math.floor(math.log10(wanted))
    for factor, more_decimals in ((1, 0), (2, 0), (2.5, 1), (5, 0)):
        step = factor * 10.0**exponent
        if step >= wanted * (1 - _TOLERANCE):
            return step, max(more_decimals - exponent, 0)
    return 10.0 ** (exponent + 1), max(-exponent - 1, 0)


def _place(value: float, step: float) -> int:
    """Which multiple of the step begins the range that this value is in."""
    return math.floor(value / step + _TOLERANCE)


def _label(value: float, decimals: int) -> str:
    if decimals > _DECIMALS or abs(value) >= _LARGE:
        return f"{value:.6g}"
    return f"{value:,.{decimals}f}"
