"""Numbers on the command line: click's ranges, called what people call them in messages and help.

Without this, ``-c x`` is answered with "'x' is not a valid integer range".
"""

from __future__ import annotations

from math import isfinite
from typing import Any

import click

__all__ = ["Decimal", "Range", "Whole"]


class Whole(click.IntRange):
    """A whole number within limits."""

    name = "whole number"


class Decimal(click.FloatRange):
    """A number within limits, such as seconds."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not isfinite(number):
            self.fail(f"{value!r} is not a valid {self.name}.", param, ctx)
        return number


class Range(click.ParamType[tuple[int, int]]):
    """Two numbers from 1 up, in either order, as ``10,2``; of one the least is 1. Becomes the least
    and the most."""

    name = "range"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        try:
            # A least number of 0, which Celery takes, is 1: one process has to wait for messages.
            first, second = (int(part) for part in f"{value},0".split(",")[:2])
        except ValueError:
            first = second = -1
        least, most = sorted((first, second))
        if least < 0 or most < 1 or str(value).count(",") > 1:
            self.fail(f"{value!r} is not MAX,MIN, two whole numbers such as 10,2.", param, ctx)
        return max(1, least), most
