"""The tables as data: what is made of them, and how a database gets from version to version."""

from __future__ import annotations

import sqlite3

import msgspec
import pytest

from umbel.drivers.sql import schema
from umbel.drivers.sql.schema import State, create, install
from umbel.drivers.sql.sqlite import DIALECT
from umbel.drivers.sql.sqlite_connection import SqliteConnection
from umbel.exceptions import ImproperlyConfigured


@pytest.fixture
def session(tmp_path):
    path = tmp_path / "plain.db"
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("CREATE TABLE of_somebody_else (id INTEGER)")
    connection = SqliteConnection(raw, path, 1.0)
    yield connection
    connection.close()


def tables_of(session):
    rows = session.fetch("SELECT name FROM sqlite_master WHERE type = 'table'")
    return {name for (name,) in rows if name.startswith("umbel_")}


def version_of(session):
    return session.fetch("SELECT version FROM umbel_schema")


def test_a_new_database_gets_every_table_and_the_version(session):
    install(session, DIALECT, None)
    assert tables_of(session) == {"umbel_schema", *(table.name for table in schema.TABLES)}
    assert version_of(session) == [(schema.VERSION,)]


def test_columns_are_as_the_data_say(session):
    install(session, DIALECT, None)
    for table in schema.TABLES:
        found = session.fetch(f"PRAGMA table_info({table.name})")
        assert [row[1] for row in found] == [column.name for column in table.columns]
        for (_, _, kind, not_null, _, key), column in zip(found, table.columns, strict=True):
            assert DIALECT.types[column.kind].startswith(kind)
            assert bool(key) == column.key
            if column.kind != "serial":
                assert bool(not_null) is not column.null


def test_every_index_is_there_under_its_own_name(session):
    install(session, DIALECT, None)
    names = [index.name for table in schema.TABLES for index in table.indexes]
    assert len(set(names)) == len(names)
    rows = session.fetch("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
    assert {name for (name,) in rows} == set(names)


def test_the_conditions_of_indexes_name_the_states_by_their_numbers():
    (messages,) = [table for table in schema.TABLES if table.name == "umbel_message"]
    conditions = {
        index.name.removeprefix("umbel_message_"): index.where for index in messages.indexes
    }
    for state in (State.READY, State.DELAYED, State.LENT, State.PARKED, State.DEAD):
        assert conditions[state.name.lower()] == f"state = {state:d}"


def test_a_database_without_partial_indexes_gets_full_ones():
    full = msgspec.structs.replace(DIALECT, partial_indexes=False)
    statements = [statement for table in schema.TABLES for statement in create(table, full)]
    assert not any(" WHERE " in statement for statement in statements)
    assert len(statements) == sum(len(create(table, DIALECT)) for table in schema.TABLES)


def test_a_database_of_the_first_version_gets_what_it_lacks(session):
    install(session, DIALECT, None, target=1)
    session.execute("DROP TABLE umbel_notice")
    install(session, DIALECT, 1)
    assert tables_of(session) == {"umbel_schema", *(table.name for table in schema.TABLES)}
    assert version_of(session) == [(schema.VERSION,)]


def test_an_old_database_is_upgraded_step_by_step(session):
    install(session, DIALECT, None, target=1)
    upgrades = {
        2: ["CREATE TABLE umbel_two (id INTEGER)"],
        3: ["ALTER TABLE umbel_two ADD COLUMN name TEXT", "INSERT INTO umbel_two VALUES (1, 'x')"],
    }
    install(session, DIALECT, 1, upgrades, target=3)
    assert session.fetch("SELECT * FROM umbel_two") == [(1, "x")]
    assert version_of(session) == [(3,)]


def test_every_version_can_be_reached_from_the_first():
    assert set(schema.UPGRADES) == set(range(2, schema.VERSION + 1))


def test_a_database_of_a_newer_umbel_is_refused(session):
    install(session, DIALECT, None)
    with pytest.raises(ImproperlyConfigured, match="newer"):
        install(session, DIALECT, schema.VERSION + 1)
