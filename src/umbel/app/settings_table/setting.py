"""One row of the settings table, and what makes a row speak: conversion and complaints.

A row knows its own spellings and how to turn what somebody wrote into a value. Where values come from and which
one wins is ``app/config.py``; the rows themselves stand in the other files of this directory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from umbel.app.settings_table.censor import MASK, censored
from umbel.app.settings_table.kinds import Kind
from umbel.app.settings_table.refused import Refused, Unsupported

__all__ = ["ACCEPTED", "SAME", "USED", "Setting", "Status"]

Status = Literal["used", "accepted"]

#: Umbel acts on the setting.
USED: Status = "used"
#: The name is understood, so that a project's configuration loads; it has no effect, and ``why`` says why.
ACCEPTED: Status = "accepted"

#: Celery's default is ours.
SAME: Any = msgspec.UNSET

_LONGEST_VALUE = 120


class Setting(msgspec.Struct, frozen=True):
    """What ``app.conf`` knows of one name."""

    name: str
    kind: Kind
    default: Any
    #: Change this one word when a setting begins to have an effect; ``why`` is read for ACCEPTED only.
    status: Status
    #: The spelling of Celery 3, in capitals; empty where there never was one.
    old: str
    doc: str
    why: str = ""
    #: Umbel's own; Celery does not know it.
    own: bool = False
    #: None is a value of its own, although it is not the default.
    nullable: bool = False
    #: While the value is None, this setting (lower case) or foreign name (capitals) is read instead.
    fallback: str = ""
    #: For dicts with known keys: key -> why it has no effect, or "" where it has one.
    options: Mapping[str, str] | None = None
    #: Celery's default, where ours is another.
    celery: Any = SAME

    @property
    def optional(self) -> bool:
        """None is a value; otherwise None means that nothing was given."""
        return self.nullable or self.default is None

    @property
    def secret(self) -> bool:
        """The value is never shown."""
        return bool(censored(self.name, "shown") == MASK)

    def convert(self, value: Any) -> Any:
        """The value to work with. Raises ``ValueError`` with the reason; ``Unsupported`` is one."""
        if value is None and self.optional:
            return None
        try:
            return self.kind.convert(value)
        except (ValueError, OverflowError) as error:
            kind = Unsupported if isinstance(error, Unsupported) else ValueError
            raise kind(self._complaint(value, error)) from None

    def _complaint(self, value: Any, error: Exception) -> str:
        shown = repr(censored(self.name, value))
        if len(shown) > _LONGEST_VALUE:
            shown = f"{shown[:_LONGEST_VALUE]}…"
        # Python's own words may quote a piece of a password.
        text = str(error) if isinstance(error, Refused) else ""
        comma = " (a tuple of one: is there a comma too many after it?)"
        return (
            f"is {shown}, {text or f'expected {self.kind.expects}'}"
            f"{comma if isinstance(value, tuple) and len(value) == 1 else ''}"
        )
