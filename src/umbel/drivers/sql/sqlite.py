"""SQLite: one file in WAL mode, shared by the threads and processes of one machine.

Each thread has a connection. Before a fork all are closed: the locks of the file belong to the
process, and SQLite in the child would believe that it holds those of its parent. A file that is
deleted under a running process is noticed, and a new one begun.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any
from weakref import WeakSet, ref

from umbel.drivers.sql.base import Dialect, Session, SqlDriver
from umbel.drivers.sql.schema import VERSION, install
from umbel.drivers.sql.sqlite_connection import SqliteConnection
from umbel.drivers.sql.sqlite_errors import explain
from umbel.drivers.sql.sqlite_url import parse_url
from umbel.drivers.sql.sqlite_watch import SqliteWatch
from umbel.exceptions import ConnectionLost, ImproperlyConfigured, OperationalError

__all__ = ["DIALECT", "SqliteDriver"]

logger = logging.getLogger("umbel.sql")

DIALECT = Dialect(
    name="sqlite",
    types={
        "serial": "INTEGER PRIMARY KEY",
        "integer": "INTEGER",
        "small": "INTEGER",
        "real": "REAL",
        "name": "TEXT",
        "text": "TEXT",
        "bytes": "BLOB",
    },
    members="SELECT value FROM json_each({source})",
)

#: The first SQLite that knows UPDATE … FROM.
_OLDEST = (3, 33)
#: Pages in the write-ahead log after which a commit moves them into the file.
_CHECKPOINT = 4000
#: Bytes of log that are kept for reuse.
_LOG_LIMIT = 64 * 1024 * 1024
#: Unused pages that are worth giving back, and how many at a time.
_MUCH_UNUSED, _RECLAIM = 4096, 500
#: Compiled statements that a connection keeps.
_STATEMENTS = 256
#: Seconds to wait for a thread in the middle of a transaction before its connection is closed.
_PATIENCE = 5.0


class _Lease(AbstractContextManager[Session]):
    """One use of the connection of this thread. An exception from outside (a time limit, Ctrl-C) may
    come between any two steps: a lease that was forgotten without having ended is found by the next.
    """

    __slots__ = ("_driver", "_timeout", "_writes", "connection")

    def __init__(self, driver: SqliteDriver, timeout: float | None, *, writes: bool) -> None:
        self.connection: SqliteConnection | None = None
        self._driver = driver
        self._timeout = driver.url.timeout if timeout is None else timeout
        self._writes = writes

    def __enter__(self) -> SqliteConnection:
        connection = self._driver.check_out(self)
        try:
            connection.timeout = self._timeout
            if len(connection.leases) > 1:
                connection.refuse_within_transaction()
            if self._writes:
                connection.begin()
        except BaseException:
            self._leave()
            raise
        return connection

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        connection = self.connection
        assert connection is not None
        try:
            if self._writes and error is None:
                connection.commit()
        except ConnectionLost as lost:
            error = lost
            raise
        finally:
            self._leave()
            if isinstance(error, ConnectionLost):
                self._driver.discard(connection)

    def _leave(self) -> None:
        connection = self.connection
        if connection is not None:
            if len(connection.leases) == 1:
                connection.roll_back()
            self.connection = None
            connection.leases.pop()
            connection.lock.release()


class SqliteDriver(SqlDriver):
    """The way to one SQLite file."""

    dialect = DIALECT

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        if sqlite3.sqlite_version_info < _OLDEST:
            raise ImproperlyConfigured(
                f"SQLite {sqlite3.sqlite_version} is too old: {'.'.join(map(str, _OLDEST))} is needed"
            )
        self.url = parse_url(url, options or {})
        self.display_url = f"sqlite:///{self.url.path}"
        self.database = f"sqlite:{self.url.path.resolve()}"
        self._local = threading.local()
        self._connections: WeakSet[SqliteConnection] = WeakSet()
        with _gate.lock:
            _drivers.add(self)

    def session(self, timeout: float | None = None) -> AbstractContextManager[Session]:
        return _Lease(self, timeout, writes=False)

    def transaction(self, timeout: float | None = None) -> AbstractContextManager[Session]:
        return _Lease(self, timeout, writes=True)

    def now(self) -> int:
        return int(time.time() * 1000)

    def watch(self, topic: str) -> SqliteWatch:  # noqa: ARG002 - every commit is seen
        return SqliteWatch(self.url.path, self._version)

    def announce(self, session: Session, topic: str) -> None:
        """Commits themselves are seen."""

    def reclaim(self) -> None:
        with _Lease(self, 0.0, writes=False) as session:
            ((unused,),) = session.fetch("PRAGMA freelist_count")
            if unused < _MUCH_UNUSED:
                return
            ((pages,),) = session.fetch("PRAGMA page_count")
            if unused * 4 > pages:
                session.reclaim(_RECLAIM)

    def close(self) -> None:
        with _gate.lock:
            connections = list(self._connections)
        for connection in connections:
            self.discard(connection)

    def discard(self, connection: SqliteConnection) -> None:
        """Close this connection, unless it stays in use."""
        if connection.lock.acquire(timeout=_PATIENCE):
            if not connection.in_use():
                connection.close()
            connection.lock.release()

    def check_out(self, lease: _Lease) -> SqliteConnection:
        """Give this thread's connection to the lease, locked; opened if need be."""
        while True:
            connection: SqliteConnection | None = getattr(self._local, "connection", None)
            if connection is None or connection.pid != os.getpid():
                connection = self._local.connection = self._connect()
            connection.lock.acquire()
            if connection.open and (connection.in_use() or not connection.stale()):
                connection.leases.append(ref(lease))
                lease.connection = connection
                return connection
            if connection.open:
                logger.warning("%s was deleted or replaced; going on with a new one", self.url.path)
            connection.close()
            connection.lock.release()
            self._local.connection = None

    def _version(self) -> tuple[int, int, int]:
        with _Lease(self, None, writes=False) as connection:
            return connection.version()

    # Opening --------------------------------------------------------------------------------------

    def _connect(self) -> SqliteConnection:
        with _gate.lock:
            self._create()
            try:
                raw = sqlite3.connect(
                    self.url.path,
                    timeout=0.0,
                    isolation_level=None,
                    check_same_thread=False,
                    cached_statements=_STATEMENTS,
                )
            except sqlite3.Error as error:
                raise explain(error, self.url.path) from error
            try:
                connection = SqliteConnection(raw, self.url.path, self.url.timeout)
                self._configure(connection)
            except BaseException:
                raw.close()
                raise
            self._connections.add(connection)
            return connection

    def _create(self) -> None:
        """The file, readable by its owner alone, and no remains of one that was deleted. What is
        there is not opened: closing it would take the locks of other connections away."""
        path = self.url.path
        try:
            if path.exists():
                return
            directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise OperationalError(
                f"cannot open {path}: directory {path.parent}: {error.strerror}"
            ) from error
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            if not path.exists():
                for ending in ("-wal", "-shm"):
                    path.with_name(path.name + ending).unlink(missing_ok=True)
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except OSError as error:
            raise OperationalError(f"cannot create {path}: {error.strerror}") from error
        finally:
            os.close(directory)

    def _configure(self, connection: SqliteConnection) -> None:
        fetch = connection.fetch
        if fetch("PRAGMA page_count") == [(0,)]:
            fetch("PRAGMA auto_vacuum = INCREMENTAL")
        ((mode,),) = fetch("PRAGMA journal_mode = WAL")
        if mode != "wal":
            raise ImproperlyConfigured(
                f"{self.url.path} cannot be shared between processes: its file system does not "
                f"support SQLite's WAL mode (a network folder?)"
            )
        fetch(f"PRAGMA synchronous = {self.url.synchronous}")
        fetch(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT:d}")
        fetch(f"PRAGMA journal_size_limit = {_LOG_LIMIT:d}")
        fetch("PRAGMA temp_store = MEMORY")
        if _version_of(connection) != VERSION:
            connection.begin()
            try:
                install(connection, DIALECT, _version_of(connection))
                connection.commit()
            finally:
                connection.roll_back()

    # Forking --------------------------------------------------------------------------------------

    def after_fork_in_child(self) -> None:
        """Let go of the parent's connections."""
        for connection in list(self._connections):
            connection.close()
        self._connections = WeakSet()
        self._local = threading.local()


def _version_of(connection: SqliteConnection) -> int | None:
    present = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'umbel_schema'"
    if not connection.fetch(present):
        return None
    ((version,),) = connection.fetch("SELECT version FROM umbel_schema")
    return int(version)


class _Gate:
    """Closed while a fork is going on: no connection is opened then."""

    lock = threading.RLock()

    def before(self) -> None:
        self.lock.acquire()
        for driver in list(_drivers):
            driver.close()

    def after_in_parent(self) -> None:
        self.lock.release()

    def after_in_child(self) -> None:
        self.lock = threading.RLock()
        for driver in list(_drivers):
            driver.after_fork_in_child()


_drivers: WeakSet[SqliteDriver] = WeakSet()
_gate = _Gate()
os.register_at_fork(
    before=_gate.before,
    after_in_parent=_gate.after_in_parent,
    after_in_child=_gate.after_in_child,
)


@atexit.register
def _close_all() -> None:
    for driver in list(_drivers):
        driver.close()
