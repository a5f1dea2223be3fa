"""Draws a bar chart as SVG text. Colours come from the page's style sheet, light or dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

__all__ = ["bar_chart"]

_WIDTH, _HEIGHT = 960, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 16, 40
_TICKS = 4
_LABELS = 12


def bar_chart(bars: Sequence[tuple[str, int]], *, title: str, unit: str) -> str:
    """One bar for each (label, count); ``unit`` is what is counted, for the tooltips."""
    step = _round_step(max((count for _label, count in bars), default=0))
    top = step * _TICKS
    parts = [
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">',
        *_grid(step),
        *_columns(bars, top, unit),
        "</svg>",
    ]
    return "\n".join(parts)


def _round_step(largest: int) -> int:
    """The smallest of 1, 2, 5, 10, 20, 25, 50, … of which ``_TICKS`` reach the largest bar."""
    wanted = max(largest, 1) / _TICKS
    power = 10 ** math.floor(math.log10(wanted)) if wanted >= 1 else 1
    steps = (power, 2 * power, 5 * power // 2, 5 * power, 10 * power)
    return next(step for step in steps if step >= wanted)


def _grid(step: int) -> list[str]:
    parts = []
    for tick in range(_TICKS + 1):
        height = _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * tick / _TICKS
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{height:g}" y2="{height:g}"/>'
            f'<text class="tick" x="{_LEFT - 8}" y="{height + 4:g}" text-anchor="end">{tick * step:,}</text>'
        )
    return parts


def _columns(bars: Sequence[tuple[str, int]], top: int, unit: str) -> list[str]:
    if not bars:
        return []
    slot = (_WIDTH - _LEFT - _RIGHT) / len(bars)
    gap = min(slot * 0.2, 6)
    every = math.ceil(len(bars) / _LABELS)
    parts = []
    for number, (label, count) in enumerate(bars):
        left = _LEFT + number * slot
        height = (_HEIGHT - _TOP - _BOTTOM) * count / top
        parts.append(
            f'<rect class="bar" x="{left + gap / 2:.1f}" width="{slot - gap:.1f}"'
            f' y="{_HEIGHT - _BOTTOM - height:.1f}" height="{height:.1f}">'
            f"<title>{escape(label)} · {escape(unit)}: {count:,}</title></rect>"
        )
        if number % every == 0:
            parts.append(
                f'<text class="tick" x="{left + slot / 2:.1f}" y="{_HEIGHT - _BOTTOM + 20}"'
                f' text-anchor="middle">{escape(label.partition(" to ")[0])}</text>'
            )
    return parts
