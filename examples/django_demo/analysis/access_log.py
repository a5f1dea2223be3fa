"""Reads the access log of a web server (common or combined format) and adds it up.

A trailing number is taken for the time that the request took, as nginx's ``$request_time``
(seconds, with a point) or Apache's ``%D`` (microseconds, without). One pass, bounded memory:
paths beyond the first ``PATH_LIMIT`` different ones are counted together.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

__all__ = ["PATH_LIMIT", "AccessLog", "looks_like_access_log"]

PATH_LIMIT = 50_000
#: Different hours in one log: eleven years. Lines beyond them count as malformed.
HOUR_LIMIT = 100_000
_TABLE_ROWS = 10
_EXAMPLES = 3
_EXAMPLE_LENGTH = 160
_PATH_LENGTH = 300
_OTHER_PATHS = "(other paths)"
_NO_PATH = "(not a valid request)"
#: A mean over fewer requests says more about chance than about the page.
_REQUESTS_FOR_A_MEAN = 5

_QUOTED = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_LINE = re.compile(
    r"\S+ \S+ [^\[]*"
    r"\[(?P<hour>\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}):\d{2}:\d{2} [+-]\d{4}\] "
    rf"(?P<request>{_QUOTED}) (?P<status>[1-5]\d\d) (?P<size>\d+|-)"
    rf"(?: {_QUOTED} {_QUOTED}(?: (?P<seconds>\d+(?:\.\d+)?))?)?(?:\s|$)"
)
_MONTHS = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1
    )
}


def looks_like_access_log(lines: Iterable[str]) -> bool:
    """Whether at least half of these lines (those that are not blank) are requests."""
    filled = [line for line in lines if line.strip()]
    return bool(filled) and 2 * sum(_LINE.match(line) is not None for line in filled) >= len(filled)


class _PathTotals:
    __slots__ = ("bytes_sent", "longest", "requests", "seconds", "timed")

    def __init__(self) -> None:
        self.requests = 0
        self.bytes_sent = 0
        self.timed = 0
        self.seconds = 0.0
        self.longest = 0.0

    def row(self, path: str) -> dict[str, Any]:
        timed = self.timed > 0
        return {
            "path": path,
            "requests": self.requests,
            "bytes": self.bytes_sent,
            "mean_seconds": round(self.seconds / self.timed, 4) if timed else None,
            "longest_seconds": round(self.longest, 4) if timed else None,
        }


class AccessLog:
    """The totals of one log. Feed it lines with ``add``, then ask for the ``report``."""

    def __init__(self) -> None:
        self._statuses: Counter[str] = Counter()
        self._hours: Counter[str] = Counter()
        self._days: dict[str, date | None] = {}
        self._paths: dict[str, _PathTotals] = {}
        self._requests = 0
        self._bytes_sent = 0
        self._malformed = 0
        self._examples: list[dict[str, Any]] = []

    def add(self, number: int, line: str) -> None:
        """Count one line; ``number`` is its place in the file."""
        match = _LINE.match(line)
        if match is None or self._day(match["hour"]) is None:
            if line.strip():
                self._add_malformed(number, line)
            return
        hour, request, status, size, seconds = match.group(
            "hour", "request", "status", "size", "seconds"
        )
        self._requests += 1
        self._statuses[status] += 1
        self._hours[hour] += 1
        bytes_sent = 0 if size == "-" else int(size)
        self._bytes_sent += bytes_sent
        self._add_path(_path_of(request), bytes_sent, seconds)

    def _day(self, hour: str) -> date | None:
        """The day of ``14/Mar/2026:09``, None when there is no such day or hour."""
        if hour not in self._days:
            self._days[hour] = _parse_day(hour) if len(self._days) < HOUR_LIMIT else None
        return self._days[hour]

    def _add_malformed(self, number: int, line: str) -> None:
        self._malformed += 1
        if len(self._examples) < _EXAMPLES:
            self._examples.append({"line": number, "text": line[:_EXAMPLE_LENGTH]})

    def _add_path(self, path: str, bytes_sent: int, seconds: str | None) -> None:
        totals = self._paths.get(path)
        if totals is None:
            if len(self._paths) >= PATH_LIMIT:
                path = _OTHER_PATHS
            totals = self._paths.setdefault(path, _PathTotals())
        totals.requests += 1
        totals.bytes_sent += bytes_sent
        if seconds is not None:
            taken = float(seconds) if "." in seconds else int(seconds) / 1_000_000
            totals.timed += 1
            totals.seconds += taken
            totals.longest = max(totals.longest, taken)

    def report(self) -> dict[str, Any]:
        """Everything that the page shows, as plain data."""
        rows = [totals.row(path) for path, totals in self._paths.items()]
        timed = [row for row in rows if row["mean_seconds"] is not None]
        often = [row for row in timed if row["requests"] >= _REQUESTS_FOR_A_MEAN]
        return {
            "kind": "access log",
            "requests": self._requests,
            "bytes_sent": self._bytes_sent,
            "malformed": self._malformed,
            "malformed_examples": self._examples,
            "statuses": sorted(self._statuses.items()),
            "traffic": self._traffic(),
            "days": self._first_and_last_day(),
            "distinct_paths": len(rows),
            "busiest": sorted(rows, key=lambda row: -row["requests"])[:_TABLE_ROWS],
            "slowest": sorted(often or timed, key=lambda row: -row["mean_seconds"])[:_TABLE_ROWS],
        }

    def _traffic(self) -> dict[str, Any]:
        """Requests over time, by the finest unit that still makes a chart one can read."""
        moments = Counter[tuple[date, int]]()
        for hour, requests in self._hours.items():
            day = self._days[hour]
            if day is not None:
                moments[day, int(hour[-2:])] += requests
        return _group_by_time(moments)

    def _first_and_last_day(self) -> list[str]:
        """In ISO format; empty without a request."""
        days = [day for hour in self._hours if (day := self._days[hour]) is not None]
        return [min(days).isoformat(), max(days).isoformat()] if days else []


def _path_of(request: str) -> str:
    """``"GET /a?b HTTP/1.1"`` → ``/a``."""
    parts = request[1:-1].split(" ")
    if len(parts) not in {2, 3}:
        return _NO_PATH
    return parts[1].partition("?")[0][:_PATH_LENGTH]


def _parse_day(hour: str) -> date | None:
    month = _MONTHS.get(hour[3:6])
    if month is None or int(hour[12:14]) >= 24:  # noqa: PLR2004 - hours in a day
        return None
    try:
        return date(int(hour[7:11]), month, int(hour[:2]))
    except ValueError:
        return None


def _group_by_time(moments: Counter[tuple[date, int]]) -> dict[str, Any]:
    if not moments:
        return {"unit": "hour", "bars": []}
    first, last = min(moments)[0], max(moments)[0]
    # Hours and days without a request are shown, too: a gap is worth seeing.
    days = [first + timedelta(number) for number in range(min((last - first).days, 92) + 1)]
    if len(days) <= 3:  # noqa: PLR2004 - up to 72 bars
        return {"unit": "hour", "bars": _by_hour(moments, days)}
    if last == days[-1]:
        daily = Counter[date]()
        for (day, _hour), requests in moments.items():
            daily[day] += requests
        return {"unit": "day", "bars": [[f"{day.day} {day:%b}", daily[day]] for day in days]}
    monthly = Counter[str]()
    for (day, _hour), requests in sorted(moments.items()):
        monthly[f"{day:%b %Y}"] += requests
    return {"unit": "month", "bars": [list(bar) for bar in monthly.items()]}


def _by_hour(moments: Counter[tuple[date, int]], days: list[date]) -> list[list[Any]]:
    return [
        [
            f"{hour:02}:00" if len(days) == 1 else f"{day.day} {day:%b} {hour:02}:00",
            moments[day, hour],
        ]
        for day in days
        for hour in range(24)
    ]
