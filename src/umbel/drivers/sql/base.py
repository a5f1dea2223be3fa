"""What brokers and result backends need of an SQL database, and nothing about queues.

A ``SqlDriver`` gives every thread of every process a connection of its own, runs statements with a
deadline, and tells when somebody else has committed. How databases differ in words is a
``Dialect``; how they differ in behaviour is a driver. Statements are written with ``?`` and pass
through ``Dialect.adapt``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import msgspec

__all__ = ["Dialect", "JoinedStore", "Session", "SqlDriver", "StatementRefused", "Values", "Watch"]

#: What is bound to the placeholders of one statement.
Values = Sequence[Any]


class StatementRefused(Exception):
    """A statement ended itself without effect and said why; the argument is what it said."""


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """How one database spells what the others spell differently."""

    name: str
    #: The placeholder of a bound value.
    placeholder: str = "?"
    #: Column kinds of ``schema`` in this database's words.
    types: Mapping[str, str]
    #: Whether an index may cover only some rows.
    partial_indexes: bool = True
    #: Whether rows that others have locked can be passed over.
    skip_locked: bool = False
    #: A SELECT of the members of a JSON array; ``{source}`` stands for the array.
    members: str

    def adapt(self, statement: str) -> str:
        """A statement that was written with ``?``, with this database's placeholder."""
        return statement if self.placeholder == "?" else statement.replace("?", self.placeholder)

    def members_of(self, source: str = "?") -> str:
        """``id IN (members_of())``: one bound JSON array instead of many placeholders."""
        return self.members.format(source=source)


class Session(ABC):
    """One connection while it is lent to one thread."""

    @abstractmethod
    def execute(self, statement: str, values: Values = ()) -> int:
        """Run it; how many rows it changed."""

    @abstractmethod
    def execute_many(self, statement: str, rows: Iterable[Values]) -> int:
        """Run it for each of these; how many rows were changed."""

    @abstractmethod
    def fetch(self, statement: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """Run it; all rows."""

    @abstractmethod
    def prepare(self, name: str, statements: Iterable[str]) -> None:
        """Run these unless this connection has already done so under this name: temporary views,
        prepared statements."""


class Watch(ABC):
    """Tells one thread that others have changed the database. Not to be taken over a fork."""

    @abstractmethod
    def mark(self) -> None:
        """What has been committed until now is known, also what this thread committed itself.
        Called within a transaction or before a read, so that nothing falls between."""

    @abstractmethod
    def wait(self, timeout: float, fds: Collection[int] = ()) -> None:
        """Block until something was committed since ``mark``, one of ``fds`` is readable, or
        ``timeout`` seconds passed. May return early. Raises ``ConnectionLost``."""

    @abstractmethod
    def close(self) -> None:
        """Give back what waiting needed. Closing twice is harmless."""


class SqlDriver(ABC):
    """The way to one database. Safe to share between threads; connects on first use and creates the
    tables when they are not there; after a fork the child opens connections of its own.

    Errors surface as ``OperationalError`` (``ConnectionLost`` where it is not known what became of
    the statement), and as ``StatementRefused`` where a statement ended itself.
    """

    dialect: Dialect
    #: URL without password, for banners and logs.
    display_url: str
    #: Equal for drivers of the same database, however their URLs are spelled.
    database: str

    @abstractmethod
    def session(self, timeout: float | None = None) -> AbstractContextManager[Session]:
        """The connection of this thread; each statement is a transaction of its own. ``timeout``
        bounds the wait for other writers; None: the driver's own limit."""

    @abstractmethod
    def transaction(self, timeout: float | None = None) -> AbstractContextManager[Session]:
        """The connection of this thread in a transaction that writes: committed at the end of the
        block, rolled back when it is left by an error."""

    @abstractmethod
    def now(self) -> int:
        """The database server's clock, in milliseconds since the epoch."""

    @abstractmethod
    def watch(self, topic: str) -> Watch:
        """A watch for what is announced under ``topic`` (or for every commit, where the database
        cannot tell them apart), marked now."""

    @abstractmethod
    def announce(self, session: Session, topic: str) -> None:
        """Wake watches of this topic when the present transaction is committed. Nothing to do
        where commits themselves are seen."""

    @abstractmethod
    def reclaim(self) -> None:
        """Give a bounded amount of unused space back to the system, when there is much of it."""

    @abstractmethod
    def close(self) -> None:
        """Close the connections of all threads; they are opened again when needed."""


class JoinedStore(Protocol):
    """A store whose rows can be written as part of somebody else's statement in one database."""

    driver: SqlDriver
    #: How many values a row has.
    width: int

    def rows(self, items: Sequence[Any]) -> list[Values]:
        """The values of these items."""

    def statement(self, values: Sequence[str]) -> str:
        """The statement that keeps one row of these SQL expressions."""

    def tidy(self) -> None:
        """Called now and then by who writes this way; does a bounded amount of housekeeping."""
