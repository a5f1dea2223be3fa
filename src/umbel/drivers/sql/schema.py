"""The tables of Umbel in SQL databases, as data: one schema for every driver, and for the Django
migration that is written from it.

``umbel_schema`` holds the version. ``install`` creates or upgrades within a transaction that the
caller has opened and that locks out other processes doing the same. What the rows mean is written
here; the statements on them are in brokers and backends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum

import msgspec

from umbel.drivers.sql.base import Dialect, Session
from umbel.exceptions import ImproperlyConfigured

__all__ = [
    "TABLES",
    "UPGRADES",
    "VERSION",
    "Column",
    "Index",
    "State",
    "Table",
    "create",
    "install",
]

#: Version of ``TABLES``. Raise it with every change and say in ``UPGRADES`` how to get there.
VERSION = 2


class State(IntEnum):
    """Where a message stands."""

    READY = 0
    DELAYED = 1
    LENT = 2
    PARKED = 3
    DEAD = 4


class Column(msgspec.Struct, frozen=True):
    """One column. Kinds: ``serial`` (a key that counts up), ``integer`` (64 bits), ``small``,
    ``real``, ``name`` (text that is looked up, up to 255 characters), ``text``, ``bytes``."""

    name: str
    kind: str
    null: bool = True
    key: bool = False


class Index(msgspec.Struct, frozen=True):
    """One index; ``where`` limits it to some rows where the database can do that."""

    name: str
    columns: tuple[str, ...]
    where: str | None = None
    unique: bool = False


class Table(msgspec.Struct, frozen=True):
    """One table."""

    name: str
    columns: tuple[Column, ...]
    indexes: tuple[Index, ...] = ()


_SCHEMA = Table("umbel_schema", (Column("version", "integer", null=False),))

#: Facts about the whole store that outlive its rows.
_META = Table("umbel_meta", (Column("name", "name", null=False, key=True), Column("value", "text")))

#: The id gives the order within a queue and priority: a message that becomes ready later than it
#: was published gets a new one, a message that is given back keeps its own.
_MESSAGE = Table(
    "umbel_message",
    (
        Column("id", "serial", null=False, key=True),
        Column("state", "small", null=False),
        Column("queue", "name", null=False),
        Column("priority", "small", null=False),
        # Delayed: when it comes due. Lent, parked, dead: since when. Ready: NULL.
        Column("moment_ms", "integer"),
        # Lent: to which umbel_consumer.number, and by which turn; together with the id the fence.
        Column("consumer", "integer"),
        Column("loan", "integer"),
        # NULL for bytes that were no message when they were put here.
        Column("task_id", "name"),
        Column("task", "name"),
        # Dead: the reason. Lent: "parked" when it came from there.
        Column("note", "text"),
        Column("raw", "bytes", null=False),
    ),
    (
        # The state is in these, too, so that SQLite need not look at the row.
        Index("umbel_message_ready", ("queue", "priority DESC", "id", "state"), "state = 0"),
        Index("umbel_message_delayed", ("queue", "moment_ms", "state"), "state = 1"),
        Index("umbel_message_lent", ("consumer", "loan"), "state = 2"),
        Index("umbel_message_parked", ("task",), "state = 3"),
        Index("umbel_message_dead", ("moment_ms",), "state = 4"),
        Index("umbel_message_task", ("task_id",), "state = 1 OR state = 4"),
    ),
)

_CONSUMER = Table(
    "umbel_consumer",
    (
        # Drawn at random, so that no consumer ever has the number of another.
        Column("number", "integer", null=False, key=True),
        Column("id", "name", null=False),
        Column("queues", "text", null=False),
        Column("beat_ms", "integer", null=False),
        # 1: its loans are being taken back.
        Column("dead", "small", null=False),
        Column("host", "name", null=False),
        Column("pid", "integer", null=False),
        Column("since_ms", "integer", null=False),
    ),
    (Index("umbel_consumer_id", ("id",), unique=True),),
)

#: Column names as in django-celery-results, where it has them.
_RESULT = Table(
    "umbel_result",
    (
        Column("id", "serial", null=False, key=True),
        Column("task_id", "name", null=False),
        Column("status", "name", null=False),
        # 1: the status will not change any more.
        Column("ready", "small", null=False),
        Column("content_type", "name", null=False),
        Column("content_encoding", "name", null=False),
        # Base64 where the encoding is "binary".
        Column("result", "text"),
        Column("traceback", "text"),
        Column("children", "text"),
        Column("task_name", "name"),
        Column("task_args", "text"),
        Column("task_kwargs", "text"),
        Column("worker", "name"),
        Column("retries", "integer"),
        Column("queue", "name"),
        Column("group_id", "name"),
        Column("parent_id", "name"),
        # Seconds since the epoch; date_done is ISO-8601, as the record has it.
        Column("date_created", "real", null=False),
        Column("date_started", "real"),
        Column("date_done", "name"),
        Column("expires_at", "real"),
    ),
    (
        Index("umbel_result_task_id", ("task_id",), unique=True),
        Index("umbel_result_expires_at", ("expires_at",), "expires_at IS NOT NULL"),
    ),
)

#: What is told to whoever listens now; kept for a minute. The id gives the order.
_NOTICE = Table(
    "umbel_notice",
    (
        Column("id", "serial", null=False, key=True),
        Column("moment_ms", "integer", null=False),
        # "t:" and a topic, or "m:" and the name of a mailbox.
        Column("topic", "name", null=False),
        # JSON.
        Column("payload", "text", null=False),
        Column("headers", "text", null=False),
    ),
)

TABLES = (_META, _CONSUMER, _MESSAGE, _RESULT, _NOTICE)

#: Version -> what brings the version before it there: statements, and tables to make.
UPGRADES: Mapping[int, Sequence[str | Table]] = {2: (_NOTICE,)}


def create(table: Table, dialect: Dialect) -> list[str]:
    """The statements that make this table and its indexes."""
    columns = ", ".join(_column(column, dialect) for column in table.columns)
    return [
        f"CREATE TABLE {table.name} ({columns})",
        *(_index(index, table, dialect) for index in table.indexes),
    ]


def _column(column: Column, dialect: Dialect) -> str:
    kind = dialect.types[column.kind]
    return f"{column.name} {kind}{'' if column.null else ' NOT NULL'}" + (
        " PRIMARY KEY" if column.key and column.kind != "serial" else ""
    )


def _index(index: Index, table: Table, dialect: Dialect) -> str:
    where = f" WHERE {index.where}" if index.where and dialect.partial_indexes else ""
    unique = "UNIQUE " if index.unique else ""
    return f"CREATE {unique}INDEX {index.name} ON {table.name} ({', '.join(index.columns)}){where}"


def install(
    session: Session,
    dialect: Dialect,
    version: int | None,
    upgrades: Mapping[int, Sequence[str | Table]] = UPGRADES,
    target: int = VERSION,
) -> None:
    """Bring a database of this version (None: without our tables) to the present one."""
    if version is None:
        for table in (_SCHEMA, *TABLES):
            for statement in create(table, dialect):
                session.execute(statement)
        session.execute(f"INSERT INTO umbel_schema (version) VALUES ({target:d})")
        return
    if version > target:
        raise ImproperlyConfigured(
            f"the tables are of version {version}, made by a newer Umbel; this one knows {target}"
        )
    for step in range(version + 1, target + 1):
        for change in upgrades[step]:
            for statement in [change] if isinstance(change, str) else create(change, dialect):
                session.execute(statement)
    session.execute(f"UPDATE umbel_schema SET version = {target:d}")
