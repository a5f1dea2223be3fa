"""Numbers on the command line: click's ranges, called what people call them in messages and help.

Without this, ``-c x`` is answered with "'x' is not a valid integer range".
"""

from __future__ import annotations

from math import isfinite
from typing import Any

import click

__all__ = ["Decimal", "Whole"]


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
