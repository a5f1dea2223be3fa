"""Any number of rows with few different statements."""

from __future__ import annotations

import sqlite3

import pytest

from umbel.drivers.sql.batch import LONGEST, Batch, chunks
from umbel.drivers.sql.sqlite import DIALECT


@pytest.fixture
def database():
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE item (name TEXT UNIQUE, value INTEGER)")
    yield connection
    connection.close()


@pytest.mark.parametrize("count", [1, 2, 5, 7, 13, 100, 129, LONGEST])
def test_all_rows_arrive_in_order_and_no_others(database, count):
    rows = [(f"item-{number}", number if number % 3 else None) for number in range(count)]
    database.execute(*Batch(DIALECT, "item", ["name", "value"]).bind(rows))
    assert database.execute("SELECT name, value FROM item ORDER BY rowid").fetchall() == rows


def test_batches_of_similar_length_share_one_statement():
    batch = Batch(DIALECT, "item", ["name", "value"])
    texts = {batch.bind([("x", 1)] * count)[0] for count in range(1, LONGEST + 1)}
    assert len(texts) <= 16
    assert batch.bind([("x", 1)] * 49)[0] is batch.bind([("x", 1)] * 64)[0]


def test_an_ending_follows_the_rows(database):
    ending = "ON CONFLICT (name) DO UPDATE SET value = item.value + excluded.value"
    batch = Batch(DIALECT, "item", ["name", "value"], ending)
    database.execute(*batch.bind([("a", 1), ("b", 2), ("a", 10)]))
    database.execute(*batch.bind([("a", 100)]))
    assert database.execute("SELECT * FROM item ORDER BY name").fetchall() == [("a", 111), ("b", 2)]


def test_the_longest_batch_is_within_the_limits_of_sqlite(database):
    columns = [f"c{number}" for number in range(30)]
    database.execute(f"CREATE TABLE wide ({', '.join(columns)})")
    database.execute(*Batch(DIALECT, "wide", columns).bind([[1] * 30] * LONGEST))
    assert database.execute("SELECT count(*) FROM wide").fetchone() == (LONGEST,)


def test_rows_are_cut_into_parts():
    rows = [(number,) for number in range(7)]
    assert [len(part) for part in chunks(rows, 3)] == [3, 3, 1]
    assert [row for part in chunks(rows, 3) for row in part] == rows
    assert list(chunks([])) == []
