"""What is said about values and names that somebody gave: refusals, and warnings that come once.

``Config`` has one ``Checker``; it turns each value into the one to work with, through the row of the table, and knows
what strict and lenient apps do with mistakes. It neither looks for values nor keeps them.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Container, Mapping
from typing import Any

import msgspec

from umbel.app.settings import near_miss, suggestion
from umbel.app.settings_table.refused import Unsupported
from umbel.app.settings_table.setting import ACCEPTED, USED, Setting
from umbel.exceptions import ImproperlyConfigured, UmbelWarning, UnknownSetting
from umbel.spelling import nearest

__all__ = [
    "PROGRAM",
    "Checker",
    "Given",
    "UnknownKey",
    "differs",
    "level_of_the_program",
    "unknown",
]

#: Modules that stand between a program and what is warned of: ours, and those that run commands.
_BETWEEN = ("umbel.", "click.", "django.core.management.")
#: The origin of what a program set through ``app.conf``.
PROGRAM = "app.conf"


class Given(msgspec.Struct, frozen=True):
    """A value as somebody wrote it."""

    raw: Any
    #: Where it comes from, as in ``module proj.settings``.
    origin: str
    #: The name it was given under, where that is not the setting's own.
    spelling: str = ""

    def place(self, setting: str) -> str:
        """The setting, and where its value stands, for the beginning of a message."""
        origin = "" if self.origin == PROGRAM else self.origin
        if self.spelling:
            origin = f"{self.spelling} in {origin}"
        return f"{setting} ({origin})" if origin else setting


class UnknownKey(UnknownSetting, KeyError):
    """An unknown setting asked for with brackets."""

    __str__ = Exception.__str__


class Checker:
    """Converts values and complains, for one ``Config``."""

    def __init__(self, *, strict: bool) -> None:
        self.strict = strict
        self._warned: set[str] = set()

    def convert(self, setting: Setting, given: Given) -> Any:
        """The value to work with. Wrong values are refused, or answered by a warning where the setting
        has no effect anyway."""
        where = given.place(setting.name)
        try:
            value = setting.convert(given.raw)
        except ValueError as error:
            if isinstance(error, Unsupported) and not self.strict:
                self.warn(setting.name, f"{where} {error}. {setting.default!r} is used")
                return setting.default
            if setting.status == USED:
                raise ImproperlyConfigured(f"{where} {error}") from None
            self.warn(setting.name, f"{where} {error}; it has no effect in any case: {setting.why}")
            return given.raw
        if setting.status == ACCEPTED and differs(value, setting.default):
            self.warn(setting.name, f"{where} has no effect: {setting.why}")
        if setting.options is not None and isinstance(value, Mapping):
            self._check_options(setting.name, setting.options, value, where)
        return value

    def _check_options(
        self, name: str, known: Mapping[str, str], given: Mapping[str, Any], where: str
    ) -> None:
        for key in given:
            if key not in known:
                hint = nearest(str(key), known)
                if self.strict:
                    raise ImproperlyConfigured(f"{where} has no option {key!r}{hint}")
                if hint:
                    self.warn(f"{name}[{key}]", f"{where} has no option {key!r}{hint}")
            elif known[key]:
                self.warn(f"{name}[{key}]", f"{where}: {key!r} has no effect: {known[key]}")

    def accept_unknown(self, name: str, given: Container[str]) -> None:
        """A program sets a name that is no setting. ``given``: the settings that are set already."""
        if self.strict:
            raise unknown(name)
        folded = name.lower()
        if name == folded or name.startswith(("CELERY", "UMBEL_", "BROKER_")):
            meant = near_miss(folded.removeprefix("celery_").removeprefix("umbel_"))
            if meant and meant not in given:
                text = f"{name} is not a setting and has no effect; did you mean {meant!r}?"
                self.warn(name, text)

    def warn(self, name: str, text: str) -> None:
        """Say this, unless something was said about this name before."""
        if name not in self._warned:
            self._warned.add(name)
            warnings.warn(text, UmbelWarning, stacklevel=level_of_the_program())


def unknown(name: str, error: type[UnknownSetting] = UnknownSetting) -> UnknownSetting:
    """The error that says that a setting does not exist, and which one may be meant."""
    near = suggestion(name)
    hint = f"; did you mean {near!r}?" if near else ""
    return error(f"there is no setting {name!r}{hint}")


def differs(left: Any, right: Any) -> bool:
    """Not equal, also for values that compare in ways of their own."""
    return left is not right and not bool(left == right)


def level_of_the_program() -> int:
    """The ``stacklevel`` with which a warning points at the program's line, not at ours."""
    level = 1
    frame = sys._getframe(1)  # noqa: SLF001 - inspect.stack reads a source file for every frame
    while frame.f_back and frame.f_globals.get("__name__", "").startswith(_BETWEEN):
        frame = frame.f_back
        level += 1
    return level
