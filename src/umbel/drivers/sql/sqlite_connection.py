"""One thread's connection to an SQLite file: runs statements, and tries again while it is locked.

Whoever finds the file locked tries again every fraction of a millisecond until the deadline;
SQLite's own way of waiting sleeps for up to 100 ms at a time. Opening and lending connections is
the driver's work.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import random
import sqlite3
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from weakref import ref

from umbel.drivers.sql.base import Session, Values
from umbel.drivers.sql.sqlite_errors import explain, is_busy
from umbel.exceptions import OperationalError

__all__ = ["SqliteConnection", "file_of"]

#: Seconds between two tries to get the write lock.
_TRY_FIRST, _TRY_LAST = 0.0001, 0.001
#: Seconds after which a connection makes sure that its file is still the one of that name.
_LOOK_EVERY = 0.5

_numbers = itertools.count()


class SqliteConnection(Session):
    """The connection of one thread. The lock is held while it is lent, so that another thread may
    close it only in between."""

    def __init__(self, raw: sqlite3.Connection, path: Path, timeout: float) -> None:
        self.raw = raw
        self.path = path
        #: Seconds to wait for other writers.
        self.timeout = timeout
        self.lock = threading.RLock()
        self.pid = os.getpid()
        self.open = True
        #: Who has it now; more than one when uses are nested.
        self.leases: list[ref[Any]] = []
        #: Statements that this connection may have committed.
        self.commits = 0
        self._number = next(_numbers)
        self._file = file_of(path)
        self._look_at = time.monotonic() + _LOOK_EVERY
        self._prepared: set[str] = set()

    def __del__(self) -> None:
        self.close()

    def execute(self, statement: str, values: Values = ()) -> int:
        self.commits += 1
        try:
            return self.raw.execute(statement, values).rowcount
        except sqlite3.Error as error:
            return self._again(error, statement, values).rowcount
        except UnicodeEncodeError:
            return self.execute(statement, [_whole(value) for value in values])

    def execute_many(self, statement: str, rows: Iterable[Values]) -> int:
        self.commits += 1
        try:
            return self.raw.executemany(statement, rows).rowcount
        except sqlite3.Error as error:
            raise explain(error, self.path) from error

    def fetch(self, statement: str, values: Values = ()) -> list[tuple[Any, ...]]:
        try:
            return self.raw.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            return self._again(error, statement, values).fetchall()
        except UnicodeEncodeError:
            return self.fetch(statement, [_whole(value) for value in values])

    def prepare(self, name: str, statements: Iterable[str]) -> None:
        if name not in self._prepared:
            for statement in statements:
                self.execute(statement)
            self._prepared.add(name)

    def in_use(self) -> bool:
        """Whether any lease is held; ends those that were forgotten. Called with the lock held."""
        if self.leases:
            for lease in [one for one in self.leases if one() is None]:
                self.leases.remove(lease)
                self.lock.release()
        if not self.leases:
            self.roll_back()
        return bool(self.leases)

    def refuse_within_transaction(self) -> None:
        """For a second lease of this thread: what it does would be rolled back with the first."""
        if self.raw.in_transaction:
            raise OperationalError(
                f"{self.path} is in the middle of a transaction of this thread "
                "(used from a signal handler?)"
            )

    def begin(self) -> None:
        self.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        try:
            self.raw.execute("COMMIT")
        except sqlite3.Error as error:
            self.roll_back()
            raise explain(error, self.path) from error

    def roll_back(self) -> None:
        if self.open and self.raw.in_transaction:
            self.raw.rollback()

    def version(self) -> tuple[int, int, int]:
        """Changes when anybody committed to the file."""
        (row,) = self.fetch("PRAGMA data_version")
        return self._number, row[0], self.commits

    def reclaim(self, pages: int) -> None:
        """Cut that many unused pages off the file; all at once, which only a script does."""
        self.commits += 1
        try:
            self.raw.executescript(f"PRAGMA incremental_vacuum({pages:d})")
        except sqlite3.Error as error:
            raise explain(error, self.path) from error

    def close(self) -> None:
        """Called with the lock held. In a child process SQLite would remove files that the parent
        uses: then the connection is left as it is, for ever."""
        if self.open:
            self.open = False
            if self.pid != os.getpid():
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.raw))
            else:
                self.raw.close()

    def stale(self) -> bool:
        """Whether the file has been deleted or replaced; looks twice a second at most."""
        now = time.monotonic()
        if now < self._look_at:
            return False
        self._look_at = now + _LOOK_EVERY
        return file_of(self.path) != self._file

    def _again(self, error: sqlite3.Error, statement: str, values: Values) -> sqlite3.Cursor:
        """Try until the file is not locked any more, or the time has passed."""
        deadline = time.monotonic() + self.timeout
        pause = _TRY_FIRST
        while is_busy(error) and not self.raw.in_transaction and time.monotonic() < deadline:
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause = min(_TRY_LAST, pause * 1.5)
            try:
                return self.raw.execute(statement, values)
            except sqlite3.Error as another:
                error = another
        raise explain(error, self.path) from error


def file_of(path: Path) -> tuple[int, int] | None:
    """Which file has this name now."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _whole(value: Any) -> Any:
    """Text without halves of surrogate pairs, which UTF-8 cannot write."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
