"""The report as plain text, for terminals and logs. The pages show the same data as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["summarize"]

_BAR_LENGTH = 40


def summarize(report: dict[str, Any]) -> str:
    """Some lines of text, at most 100 characters wide."""
    sections = (
        _summarize_log(report) if report["kind"] == "access log" else _summarize_table(report)
    )
    megabytes = report["bytes"] / 1_000_000
    head = (
        f"{report['kind']}: {report['lines']:,} lines, {megabytes:,.1f} MB ({report['encoding']}), "
        f"analysed in {report['seconds']:.2f} s"
    )
    return "\n\n".join([head, *sections])


def _summarize_log(report: dict[str, Any]) -> list[str]:
    counts = (
        f"requests   {report['requests']:>10,}\n"
        f"malformed  {report['malformed']:>10,}\n"
        f"paths      {report['distinct_paths']:>10,}"
    )
    return [
        counts,
        _bars("status", report["statuses"]),
        _bars(f"requests per {report['traffic']['unit']}", report["traffic"]["bars"]),
        _paths("most requested", report["busiest"]),
        _paths("slowest", report["slowest"]),
    ]


def _summarize_table(report: dict[str, Any]) -> list[str]:
    lines = [
        f"{'column':<24} {'type':<8} {'filled':>10} {'minimum':>16} {'maximum':>16} {'mean':>14}"
    ]
    lines += [
        f"{column['name'][:24]:<24} {column['type']:<8} {column['filled']:>10,} "
        f"{_cell(column['minimum']):>16} {_cell(column['maximum']):>16} {_cell(column['mean']):>14}"
        for column in report["columns"]
    ]
    counts = (
        f"rows       {report['rows']:>10,}\n"
        f"columns    {report['width']:>10,}\n"
        f"uneven     {report['uneven']:>10,}"
    )
    histogram = report["histogram"]
    chart = (
        [_bars(f"distribution of {histogram['column']}", histogram["bars"])] if histogram else []
    )
    return [counts, "\n".join(lines), *chart]


def _bars(title: str, bars: Sequence[Sequence[Any]]) -> str:
    largest = max((count for _label, count in bars), default=1) or 1
    width = max((len(str(label)) for label, _count in bars), default=0)
    lines = [
        f"  {label!s:<{width}} {count:>10,} {'█' * round(_BAR_LENGTH * count / largest)}".rstrip()
        for label, count in bars
    ]
    return "\n".join([title, *lines])


def _paths(title: str, rows: Sequence[dict[str, Any]]) -> str:
    lines = [f"{title:<40} {'requests':>10} {'mean':>9} {'longest':>9}"]
    lines += [
        f"  {row['path'][:38]:<38} {row['requests']:>10,} "
        f"{_seconds(row['mean_seconds']):>9} {_seconds(row['longest_seconds']):>9}"
        for row in rows
    ]
    return "\n".join(lines)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f} s"


def _cell(value: Any) -> str:
    return "-" if value is None else str(value)[:16]
