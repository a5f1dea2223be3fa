"""What is particular to results in SQL: columns, old rows, text that is not quite text."""

from __future__ import annotations

import sqlite3
import time

import pytest

from umbel.backends import sql
from umbel.backends.sql import SqlBackend
from umbel.brokers.base import Settlement, Verdict
from umbel.exceptions import ContentDisallowed, OperationalError
from umbel.testing.conformance.steps import receive
from umbel.testing.messages import message, record


def row_of(backend, task_id):
    with backend.driver.session() as session:
        names = [row[1] for row in session.fetch("PRAGMA table_info(umbel_result)")]
        (row,) = session.fetch("SELECT * FROM umbel_result WHERE task_id = ?", (task_id,))
    return dict(zip(names, row, strict=True))


def test_columns_can_be_read_by_any_program(backend):
    stored_at = time.time()
    backend.store(
        record(
            "task-1",
            "SUCCESS",
            {"rows": 3},
            name="reports.build",
            args=[1, "zwei"],
            kwargs={"deep": True},
            worker="celery@host",
            retries=1,
            queue="reports",
            group_id="group-1",
            parent_id="parent-1",
            started_at=1700000000.25,
            date_done="2026-11-22T14:07:01.764336+00:00",
            children=[[["child-1", "task-1"], None]],
            ttl=60.0,
        )
    )
    row = row_of(backend, "task-1")
    assert row.pop("id") == 1
    assert row.pop("date_created") == pytest.approx(stored_at, abs=5)
    assert row.pop("expires_at") == pytest.approx(stored_at + 60, abs=5)
    assert row == {
        "task_id": "task-1",
        "status": "SUCCESS",
        "ready": 1,
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "result": '{"rows": 3}',
        "traceback": None,
        "children": '[[["child-1", "task-1"], null]]',
        "task_name": "reports.build",
        "task_args": '[1, "zwei"]',
        "task_kwargs": '{"deep": true}',
        "worker": "celery@host",
        "retries": 1,
        "queue": "reports",
        "group_id": "group-1",
        "parent_id": "parent-1",
        "date_started": 1700000000.25,
        "date_done": "2026-11-22T14:07:01.764336+00:00",
    }
    found = backend.load("task-1")
    assert found.started_at == 1700000000.25
    assert found.extended


def test_arguments_that_json_cannot_hold_are_kept_as_text(backend):
    backend.store(record("task-1", "SUCCESS", 5, name="add", args=[object], kwargs={"a": {1, 2}}))
    found = backend.load("task-1")
    assert found.args == "[<class 'object'>]"
    assert found.kwargs is not None


def test_half_a_surrogate_pair_in_a_traceback_does_not_lose_the_result(broker, backend):
    broken = "ValueError: \udc80"
    backend.store(record("task-1", "FAILURE", {"exc_type": "ValueError"}, traceback=broken))
    assert backend.load("task-1").traceback == "ValueError: \\udc80"
    consumer = broker.consume(["celery"], "worker", backend)
    sent = message()
    broker.publish([sent])
    (delivery,) = receive(consumer)
    kept = record(sent.id, "FAILURE", {"exc_type": "ValueError"}, traceback=broken)
    settlement = Settlement(delivery=delivery, verdict=Verdict.REJECT, reason=broken, record=kept)
    assert consumer.exchange([settlement], 0).refused == []
    assert backend.load(sent.id).status == "FAILURE"
    assert broker.admin.dead()[0].reason == "ValueError: \\udc80"
    consumer.close()


def test_pickled_results_are_read_only_where_they_are_accepted(url, backend):
    trusting = SqlBackend(url, serializer="pickle", accept=["pickle"])
    trusting.store(record("task-1", "SUCCESS", {1, 2}))
    assert trusting.load("task-1").result == {1, 2}
    assert isinstance(row_of(backend, "task-1")["result"], str)
    with pytest.raises(ContentDisallowed, match="pickle"):
        backend.load("task-1")
    trusting.close()


def test_expired_rows_are_deleted_in_bounded_parts_by_who_stores(backend, monkeypatch):
    monkeypatch.setattr(sql, "_PRUNE_EVERY", 0.0)
    monkeypatch.setattr(sql, "_PRUNE_AGAIN", 0.0)
    backend.store_many([record(f"old-{number}", "SUCCESS", ttl=0.0) for number in range(2500)])
    backend._prune_at = 0.0

    def count():
        with backend.driver.session() as session:
            return session.fetch("SELECT count(*) FROM umbel_result")[0][0]

    counts = []
    for number in range(4):
        backend.store(record(f"new-{number}", "SUCCESS"))
        counts.append(count())
    assert counts == [1501, 502, 3, 4]


def test_expired_rows_are_deleted_by_workers_too(broker, backend, monkeypatch):
    backend.store_many([record(f"old-{number}", "SUCCESS", ttl=0.0) for number in range(10)])
    backend._prune_at = 0.0
    consumer = broker.consume(["celery"], "worker", backend)
    consumer._tidy_at = 0.0
    assert consumer.exchange([], 1).deliveries == []
    assert backend.prune() == 0
    with backend.driver.session() as session:
        assert session.fetch("SELECT count(*) FROM umbel_result") == [(0,)]
    consumer.close()


def test_a_locked_file_is_an_operational_error(path, url, backend):
    impatient = SqlBackend(f"{url}?timeout=0.1")
    backend.store(record("task-1", "STARTED"))
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(OperationalError, match="locked"):
        impatient.store(record("task-1", "SUCCESS"))
    assert impatient.load("task-1").status == "STARTED"
    holder.execute("ROLLBACK")
    holder.close()
    impatient.close()
