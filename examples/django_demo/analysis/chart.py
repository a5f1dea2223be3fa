"""Draws a bar chart as SVG text. Colours come from the page's style sheet, light or dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

__all__ = ["bar_chart"]

_WIDTH, _HEIGHT = 960, 330
_MARGIN, _RIGHT, _TOP, _BOTTOM = 20, 20, 48, 44
_TICKS = 4
#: Room for one character of a label: on a wide page, and on a narrow one, whose style sheet makes
#: labels larger and leaves out every second one.
_CHARACTER, _WIDE_CHARACTER = 7.5, 11
_RANGE = " to "
#: Every how many bars there may be a label: hours of the day come out even.
_INTERVALS = (1, 2, 3, 4, 6, 12, 24, 48, 96)


def bar_chart(bars: Sequence[tuple[str, int]], *, title: str, unit: str) -> str:
    """One bar for each (label, count); ``unit`` is what is counted.

    Labels such as ``3 to 5`` are ranges: the axis shows the edges between them.
    """
    step = _round_step(max((count for _label, count in bars), default=0))
    top = step * _TICKS
    first_label = bars[0][0].partition(_RANGE)[0] if bars else ""
    left = _MARGIN + max(len(f"{top:,}"), len(first_label) / 2) * _WIDE_CHARACTER
    parts = [
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">',
        f'<text class="tick" x="10" y="{_TOP - 26}">{escape(unit)}</text>',
        *_grid(left, step),
        *_columns(left, bars, top, unit),
        *_axis(left, [label for label, _count in bars]),
        "</svg>",
    ]
    return "\n".join(parts)


def _round_step(largest: int) -> int:
    """The smallest of 1, 2, 5, 10, 20, 25, 50, … of which ``_TICKS`` reach the largest bar."""
    wanted = max(largest, 1) / _TICKS
    power = 10 ** math.floor(math.log10(wanted)) if wanted >= 1 else 1
    steps = (power, 2 * power, 5 * power // 2, 5 * power, 10 * power)
    return next(step for step in steps if step >= wanted)


def _grid(left: float, step: int) -> list[str]:
    parts = []
    for tick in range(_TICKS + 1):
        height = _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * tick / _TICKS
        parts.append(
            f'<line class="grid" x1="{left}" x2="{_WIDTH - _RIGHT}" y1="{height:g}" y2="{height:g}"/>'
            f'<text class="tick" x="{left - 8}" y="{height + 4:g}" text-anchor="end">{tick * step:,}</text>'
        )
    return parts


def _columns(left: float, bars: Sequence[tuple[str, int]], top: int, unit: str) -> list[str]:
    slot = (_WIDTH - left - _RIGHT) / max(len(bars), 1)
    gap = min(slot * 0.2, 6)
    parts = []
    for number, (label, count) in enumerate(bars):
        height = (_HEIGHT - _TOP - _BOTTOM) * count / top
        # However few they are, they can be seen.
        height = max(height, 1) if count else 0
        parts.append(
            f'<rect class="bar" x="{left + number * slot + gap / 2:.1f}" width="{slot - gap:.1f}"'
            f' y="{_HEIGHT - _BOTTOM - height:.1f}" height="{height:.1f}">'
            f"<title>{escape(label)} · {escape(unit)}: {count:,}</title></rect>"
        )
    return parts


def _axis(left: float, labels: Sequence[str]) -> list[str]:
    """As many labels as have room, evenly spread."""
    slot = (_WIDTH - left - _RIGHT) / max(len(labels), 1)
    ranges = any(_RANGE in label for label in labels)
    texts = list(labels)
    if ranges:
        texts = [label.partition(_RANGE)[0] for label in labels] + [
            labels[-1].rpartition(_RANGE)[2]
        ]
    wanted = (max(map(len, texts), default=0) + 2) * _CHARACTER / slot
    every = next((interval for interval in _INTERVALS if interval >= wanted), len(texts))
    parts = []
    for number in range(0, len(texts), every):
        middle = left + (number if ranges else number + 0.5) * slot
        reach = len(texts[number]) * _WIDE_CHARACTER / 2
        if middle + reach > _WIDTH:
            continue
        kind = "tick" if number // every % 2 == 0 else "tick second"
        parts.append(
            f'<text class="{kind}" x="{middle:.1f}" y="{_HEIGHT - _BOTTOM + 30}"'
            f' text-anchor="middle">{escape(texts[number])}</text>'
        )
    return parts
