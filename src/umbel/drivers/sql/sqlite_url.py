"""What an SQLite URL says: which file, and how it is to be used. Opens nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from umbel.exceptions import ImproperlyConfigured
from umbel.spelling import nearest

__all__ = ["SqliteUrl", "parse_url"]

_SYNCHRONOUS = ("off", "normal", "full", "extra")
_EXAMPLE = "sqlite:///relative/path.db or sqlite:////absolute/path.db"


class SqliteUrl(msgspec.Struct, frozen=True, kw_only=True):
    """One file and how to use it."""

    #: Absolute, so that it stays the same when the process changes its directory.
    path: Path
    #: ``normal``: a commit survives the death of every process; ``full``: of the machine, too.
    synchronous: str = "normal"
    #: Seconds to wait for other writers, where the caller does not say.
    timeout: float = 5.0


def parse_url(url: str, options: Mapping[str, Any]) -> SqliteUrl:
    """The file of this URL; options may also follow in the URL after ``?``."""
    _, _, rest = url.strip().partition("://")
    location, _, query = rest.partition("?")
    if not location.startswith("/") and location not in ("", ":memory:"):
        raise ImproperlyConfigured(
            f"{url!r} names a host, which SQLite does not have: write {_EXAMPLE}"
        )
    name = unquote(location[1:])
    if not name or ":memory:" in location:
        raise ImproperlyConfigured(
            f"{url!r} names no file; several processes cannot share an SQLite database that is "
            f"only in memory. Use memory:// within one process, or {_EXAMPLE}"
        )
    path = Path(name).absolute()
    if name.endswith("/") or _is_directory(path):
        raise ImproperlyConfigured(f"{url!r} names a directory, not a file")
    given = {**options, **dict(parse_qsl(query, keep_blank_values=True))}
    known = {name: given.pop(name) for name in ("synchronous", "timeout") if name in given}
    for unknown in given:
        raise ImproperlyConfigured(
            f"there is no SQLite option {unknown!r}{nearest(unknown, ('synchronous', 'timeout'))}"
        )
    checked: dict[str, Any] = {}
    if "synchronous" in known:
        checked["synchronous"] = _synchronous(known["synchronous"])
    if "timeout" in known:
        checked["timeout"] = _timeout(known["timeout"])
    return SqliteUrl(path=path, **checked)


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # not to be seen by this user: said when it is to be opened
        return False


def _synchronous(value: Any) -> str:
    mode = str(value).lower()
    if mode not in _SYNCHRONOUS:
        raise ImproperlyConfigured(
            f"the SQLite option synchronous is one of {', '.join(_SYNCHRONOUS)}, not {value!r}"
        )
    return mode


def _timeout(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0.0 <= seconds < float("inf"):
        raise ImproperlyConfigured(
            f"the SQLite option timeout is a number of seconds, not {value!r}"
        )
    return seconds
