"""What SQLite's errors mean to somebody who knows the file but not SQLite."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from umbel.drivers.sql.base import StatementRefused
from umbel.exceptions import ConnectionLost, ImproperlyConfigured, OperationalError

__all__ = ["explain", "is_busy"]

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

_REASONS: dict[int, tuple[type[Exception], str]] = {
    sqlite3.SQLITE_BUSY: (OperationalError, "{path} stayed locked by another program"),
    sqlite3.SQLITE_LOCKED: (OperationalError, "{path} stayed locked by another program"),
    sqlite3.SQLITE_READONLY: (
        OperationalError,
        "cannot write to {path}: the file or its directory is read-only for this user",
    ),
    sqlite3.SQLITE_PERM: (OperationalError, "no permission to use {path}"),
    sqlite3.SQLITE_AUTH: (OperationalError, "no permission to use {path}"),
    sqlite3.SQLITE_FULL: (OperationalError, "the disk that holds {path} is full"),
    sqlite3.SQLITE_CANTOPEN: (ConnectionLost, "cannot open {path} or the -wal and -shm beside it"),
    sqlite3.SQLITE_IOERR: (ConnectionLost, "reading or writing {path} failed"),
    sqlite3.SQLITE_PROTOCOL: (ConnectionLost, "the file locks of {path} do not work"),
    sqlite3.SQLITE_NOTADB: (ImproperlyConfigured, "{path} is not an SQLite database"),
    sqlite3.SQLITE_CORRUPT: (OperationalError, "{path} is damaged"),
    sqlite3.SQLITE_NOLFS: (OperationalError, "{path} is too large for its file system"),
    sqlite3.SQLITE_TOOBIG: (OperationalError, "a value is too large for {path}"),
}


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)


def is_busy(error: sqlite3.Error) -> bool:
    """Whether trying again may help."""
    return _code(error) & 0xFF in _BUSY


def explain(error: sqlite3.Error, path: Path) -> Exception:
    """The error to raise instead. Mistakes of our own (wrong SQL, wrong values) stay as they are."""
    code = _code(error)
    if code == sqlite3.SQLITE_CONSTRAINT_TRIGGER:
        return StatementRefused(str(error))
    found = _REASONS.get(code & 0xFF)
    if found is not None:
        kind, text = found
        return kind(f"{text.format(path=path)} ({error})")
    if isinstance(error, sqlite3.OperationalError):
        return OperationalError(f"{path}: {error}")
    return error
