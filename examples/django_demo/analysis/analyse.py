"""From a file to a report, in one pass: finds out what the file is and has it read.

Pure Python, no Django and no queue in it; the task in ``tasks`` is a thin wrapper around this.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from analysis.access_log import AccessLog, looks_like_access_log
from analysis.errors import UnreadableFile
from analysis.table import Table, detect_separator
from analysis.text import TextLines

__all__ = ["analyse_file"]

_LINES_TO_JUDGE = 50


def analyse_file(
    path: Path, on_progress: Callable[[int, int], None] = lambda _done, _total: None
) -> dict[str, Any]:
    """The report on this file; UnreadableFile, with the reason, when there can be none.

    ``on_progress`` is called with bytes done and bytes in all.
    """
    started = time.monotonic()
    size = path.stat().st_size
    reader = _choose_reader(path)
    with path.open("rb") as source:
        lines = TextLines(source, lambda done: on_progress(done, size))
        report = reader(lines)
    return report | {
        "lines": lines.count,
        "bytes": size,
        "encoding": lines.encoding.removesuffix("-sig"),
        "overlong": lines.overlong,
        "undecodable": lines.undecodable,
        "seconds": round(time.monotonic() - started, 3),
    }


def _choose_reader(path: Path) -> Callable[[TextLines], dict[str, Any]]:
    """Judge the first lines of the file."""
    with path.open("rb") as source:
        head = list(islice(TextLines(source), _LINES_TO_JUDGE))
    if not any(line.strip() for line in head):
        raise UnreadableFile("The file holds nothing but blank lines.")
    if looks_like_access_log(head):
        return _read_access_log
    separator = detect_separator(head)
    if separator is None and path.suffix.lower() == ".csv":
        separator = ","
    if separator is None:
        raise UnreadableFile(
            "This is neither an access log nor a table: fewer than half of its first lines are "
            "requests, and no separator (comma, semicolon, tab, bar) divides them evenly."
        )
    return lambda lines: _read_table(lines, separator)


def _read_access_log(lines: Iterable[str]) -> dict[str, Any]:
    log = AccessLog()
    for number, line in enumerate(lines, 1):
        log.add(number, line)
    return log.report()


def _read_table(lines: Iterable[str], separator: str) -> dict[str, Any]:
    table = Table(separator)
    table.read(lines)
    return table.report()
