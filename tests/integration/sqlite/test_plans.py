"""Every statement that runs often finds its rows through an index, and needs no sorting."""

from __future__ import annotations

import pytest

from umbel.brokers.sql.queries import QueueQueries
from umbel.brokers.sql.step import SqliteStep, _first
from umbel.testing.messages import message, messages


@pytest.fixture
def plan(broker):
    broker.publish(messages(2000))

    def plan(statement):
        values = [1] * statement.count("?")
        with broker.driver.session() as session:
            rows = session.fetch(f"EXPLAIN QUERY PLAN {statement}", values)
        return [row[3] for row in rows]

    return plan


HOT = [
    "held",
    "forget",
    "release",
    "rewrite",
    "keep",
    "lent",
    "taken",
    "release_all",
    "unpark",
    "find_consumer",
    "alive",
    "beat",
    "last_kept",
]


def scans(steps):
    return [
        one for one in steps if one.startswith("SCAN") and "umbel" in one and "INDEX" not in one
    ]


@pytest.mark.parametrize("name", HOT)
def test_a_statement_of_the_broker_searches(broker, plan, name):
    assert scans(plan(getattr(broker._queries, name))) == []


@pytest.mark.parametrize("queues", [1, 3])
def test_looking_and_promoting_search(broker, plan, queues):
    queries = QueueQueries(broker.driver.dialect, queues)
    look = plan(queries.look)
    assert scans(look) == []
    assert sum("umbel_message_ready (queue=?)" in one for one in look) == queues
    assert sum("umbel_message_delayed (queue=?)" in one for one in look) == queues
    assert any(
        "umbel_message_delayed (queue=? AND moment_ms<?)" in o for o in plan(queries.promote)
    )


@pytest.mark.parametrize("queues", [1, 3])
def test_taking_reads_each_queue_in_the_order_of_its_index(plan, queues):
    select = _first([f"'queue-{number}'" for number in range(queues)]).replace("NEW.v3", "10")
    steps = plan(select)
    assert scans(steps) == []
    assert sum("umbel_message_ready (queue=?)" in one for one in steps) == queues
    if queues == 1:
        assert not any("TEMP B-TREE" in one for one in steps)


def test_storing_and_loading_a_result_search(broker, backend, plan):
    for statement in (backend._find, backend._forget, backend._prune):
        assert scans(plan(statement)) == []


def test_what_people_ask_counts_in_indexes(broker, plan):
    for state in (0, 1):
        steps = plan(
            f"SELECT queue, count(*) FROM umbel_message WHERE state = {state} GROUP BY queue"
        )
        assert all("USING COVERING INDEX" in one for one in steps)


def test_the_step_is_one_statement_whatever_its_size(broker, backend):
    step = SqliteStep(broker.driver.dialect, 1, backend)
    lengths = {len(step._batch.bind([(1,) * 24] * count)[0]) for count in range(97, 129)}
    assert len(lengths) == 1
    assert message().queue == "celery"
