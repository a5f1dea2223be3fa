"""The limit on SQLite: a client program with no task queue in it, one transaction for 100 messages.

It takes 100 rows, lends them, decodes each, calls, and in the next transaction deletes the rows and
stores the results.
"""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable

import msgspec

from bench.ledger import Ledger

BATCH = 100
TABLES = """
CREATE TABLE IF NOT EXISTS bare_message (id INTEGER PRIMARY KEY, raw BLOB, consumer INTEGER);
CREATE INDEX IF NOT EXISTS bare_ready ON bare_message (id) WHERE consumer IS NULL;
CREATE TABLE IF NOT EXISTS bare_result (task_id TEXT PRIMARY KEY, result BLOB);
"""


def connect(path: str) -> sqlite3.Connection:
    """A connection as Umbel opens it."""
    connection = sqlite3.connect(path, timeout=10, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection


def fill(path: str, payloads: list[bytes]) -> None:
    """Create the tables and insert these messages in one transaction."""
    connection = connect(path)
    connection.executescript(TABLES)
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT INTO bare_message (raw) VALUES (?)", [(p,) for p in payloads])
    connection.execute("COMMIT")


def push_one_by_one(path: str, make: Callable[[int], bytes], count: int) -> None:
    """Insert ``count`` messages, a transaction each."""
    connection = connect(path)
    for number in range(count):
        connection.execute("INSERT INTO bare_message (raw) VALUES (?)", (make(number),))


def push_bulk(path: str, make: Callable[[int], bytes], count: int) -> None:
    """Insert ``count`` messages, 1,000 in one transaction."""
    connection = connect(path)
    for start in range(0, count, 1000):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO bare_message (raw) VALUES (?)",
            [(make(number),) for number in range(start, start + 1000)],
        )
        connection.execute("COMMIT")


def work(path: str, results: bool) -> None:
    """Drain the table, then return."""
    connection, ledger = connect(path), Ledger(os.environ["BENCH_LEDGER"])
    me, settled = os.getpid(), []
    while True:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("DELETE FROM bare_message WHERE id = ?", [(s[0],) for s in settled])
        if results:
            connection.executemany(
                "INSERT OR REPLACE INTO bare_result VALUES (?, ?)", [s[1:] for s in settled]
            )
        lent = connection.execute(
            "UPDATE bare_message SET consumer = ? WHERE id IN (SELECT id FROM bare_message "
            "WHERE consumer IS NULL ORDER BY id LIMIT ?) RETURNING id, raw",
            (me, BATCH),
        ).fetchall()
        connection.execute("COMMIT")
        if not lent:
            return
        settled = [(number, *_run(raw, ledger)) for number, raw in lent]


def _run(raw: bytes, ledger: Ledger) -> tuple[str, bytes]:
    envelope = msgspec.json.decode(raw)
    args, _kwargs, _embed = json.loads(base64.b64decode(envelope["body"]))
    ledger.mark(*args)
    task_id = envelope["headers"]["id"]
    return task_id, msgspec.json.encode(
        {"status": "SUCCESS", "result": args[0], "date_done": time.time(), "task_id": task_id}
    )


if __name__ == "__main__":
    work(sys.argv[1], sys.argv[2] == "1")
