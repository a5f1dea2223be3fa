"""The way to an SQL database, by URL. One file per database; brokers and result backends know only
``base``. Other packages add databases with an entry point in the group ``umbel.sql``, named after
the scheme.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from umbel.drivers.kinds import Kinds
from umbel.drivers.sql.base import SqlDriver

__all__ = ["KINDS", "open_driver"]

_SQLITE = "umbel.drivers.sql.sqlite:SqliteDriver"

KINDS = Kinds(
    noun="SQL database",
    group="umbel.sql",
    paths={"sqlite": _SQLITE, "db+sqlite": _SQLITE, "sqla+sqlite": _SQLITE},
    extras={},
    example="sqlite:///umbel.sqlite3",
)


def open_driver(url: str, options: Mapping[str, Any] | None = None) -> SqlDriver:
    """A driver for this URL, not yet connected."""
    driver: SqlDriver = KINDS.find(url)(url, options or {})
    return driver
