"""Whatever lies on a queue, the worker goes on, and everything is accounted for: it ran, was revoked
(expired), waits (delayed or parked), or is a dead letter.

``UMBEL_FUZZ=N``: so many times the examples, other ones each time.
"""

from __future__ import annotations

import logging
import math
import os
from collections import Counter
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.apps.fuzzed import make_app
from tests.deployment import Deployment, await_true
from tests.fuzz.shapes import anything, envelope, linked, write

from umbel.brokers.memory.broker import MemoryBroker
from umbel.brokers.sql.broker import SqlBroker
from umbel.events.types import TaskRevoked, TaskSucceeded
from umbel.exceptions import SoftTimeLimitExceeded
from umbel.message.protocol import read_message
from umbel.testing.worker import start_worker

MORE = int(os.environ.get("UMBEL_FUZZ", "0"))
FUZZ = settings(
    max_examples=5 * max(1, MORE),
    deadline=None,
    derandomize=not MORE,
    database=None,
    suppress_health_check=list(HealthCheck),
)
LIMIT = 30.0
STORES = ["memory", "sqlite", pytest.param("redis", marks=pytest.mark.redis)]


@pytest.fixture(params=STORES)
def url(request, tmp_path):
    if request.param == "redis":
        return request.getfixturevalue("redis_url")
    return f"memory://{uuid4().hex}" if request.param == "memory" else f"sqlite:///{tmp_path}/u.db"


@pytest.fixture(autouse=True)
def quiet():
    """Thousands of complaints are expected."""
    names = ("umbel", "umbel.worker", "umbel.task.trace", "umbel.app.linking")
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def put_raw(broker, several):
    """Bytes on the queue, as another program would leave them."""
    if isinstance(broker, MemoryBroker):
        for data in several:
            broker.put_raw("celery", data)
    elif isinstance(broker, SqlBroker):
        insert = "INSERT INTO umbel_message (state, queue, priority, raw) VALUES (0, ?, 0, ?)"
        with broker.driver.session() as session:
            for data in several:
                session.execute(insert, ("celery", data))
    else:
        broker.pool.call("LPUSH", "celery", *several)


class Accounts:
    """What became of messages."""

    def __init__(self, app):
        self.admin = app.broker.admin
        self.ended = Counter()

    def count(self, event):
        self.ended[type(event).__name__] += 1

    def now(self):
        """How many are on their way, and how many are accounted for."""
        queues = self.admin.queues(["celery"])
        moving = sum(queue.ready + queue.lent for queue in queues)
        waiting = sum(queue.delayed for queue in queues) + sum(self.admin.parked().values())
        return moving, sum(self.ended.values()) + waiting + self.admin.dead_count()


def play(url, pool, batches):
    app = make_app(url)
    accounts, published = Accounts(app), 0
    with start_worker(app, 3, pool) as running:
        running.worker.emitter.subscribe(TaskSucceeded, accounts.count)
        running.worker.emitter.subscribe(TaskRevoked, accounts.count)

        @FUZZ
        @given(batches)
        def fuzz(batch):
            nonlocal published
            put_raw(app.broker, batch)
            published += len(batch)
            await_true(lambda: settled(accounts, published), LIMIT, f"{batch}")
            assert app.tasks["sum"].delay(2, 3).get(timeout=LIMIT) == 5
            published += 1
            await_true(lambda: settled(accounts, published), LIMIT, f"{batch}")
            check_unreadable(app, batch)
            check_known(app, batch)
            assert running.worker.ready()

        fuzz()
    app.close()


def settled(accounts, published):
    moving, known = accounts.now()
    return moving == 0 and known >= published


def check_unreadable(app, batch):
    """Those are kept as they came."""
    unreadable = Counter(raw for raw in batch if read_message(raw, "celery")[0] is None)
    kept = Counter(letter.raw for letter in app.broker.admin.dead(limit=len(batch) * 3))
    assert not unreadable - kept


def check_known(app, batch):
    """Whoever asks for one of the others is told what became of it."""
    for raw in batch:
        message, _ = read_message(raw, "celery")
        if message is not None and not message.headers.get("ignore_result"):
            result = app.AsyncResult(message.id)
            assert result.state != "PENDING" or app.broker.admin.locate(message.id), raw


def test_messages_of_any_shape_are_accounted_for(url):
    play(url, "threads", st.lists(anything, min_size=10, max_size=30))


@pytest.mark.parametrize("pool", ["solo", "asyncio"])
def test_other_pools_account_for_them_too(pool):
    play(f"memory://{uuid4().hex}", pool, st.lists(anything, min_size=10, max_size=30))


def test_whatever_follows_a_task_its_own_message_is_accounted_for(url):
    play(url, "threads", st.lists(linked, min_size=10, max_size=30))


@pytest.mark.parametrize("pool", ["solo", "threads", "asyncio"])
def test_limits_that_no_clock_can_keep_are_none_and_others_are_kept(pool):
    app = make_app(f"memory://{uuid4().hex}")
    limits = [math.inf, math.nan, 1e300, 10**400]
    pairs = [*((None, limit) for limit in limits), *((limit, None) for limit in limits)]
    with start_worker(app, 3, pool):
        for pair in pairs:
            message = envelope([[1, 2], {}, {}])
            message["headers"]["timelimit"] = pair
            put_raw(app.broker, [write(message)])
            assert app.AsyncResult(message["headers"]["id"]).get(timeout=LIMIT) == 3
        for name in ("nap", "nap_async"):
            with pytest.raises(SoftTimeLimitExceeded):
                app.send_task(name).get(timeout=LIMIT)


def test_a_result_that_a_database_cannot_hold_is_a_failure_for_those_who_wait(tmp_path):
    app = make_app(f"sqlite:///{tmp_path}/u.db")
    message = envelope([[1, 2], {}, {}])
    message["headers"]["retries"] = 2**70
    with start_worker(app):
        put_raw(app.broker, [write(message)])
        with pytest.raises(Exception, match="too large"):
            app.AsyncResult(message["headers"]["id"]).get(timeout=LIMIT)
        assert app.broker.admin.locate(message["headers"]["id"]).where == "dead"
        assert app.tasks["sum"].delay(2, 3).get(timeout=LIMIT) == 5
    app.close()


def test_ids_of_groups_and_parents_that_are_no_text_become_text(tmp_path):
    app = make_app(f"sqlite:///{tmp_path}/u.db")
    message = envelope([[1, 2], {}, {}])
    message["headers"] |= {"parent_id": ["a"], "group": 5}
    with start_worker(app):
        put_raw(app.broker, [write(message)])
        result = app.AsyncResult(message["headers"]["id"])
        assert result.get(timeout=LIMIT) == 3
    record = app.backend.load(result.id)
    assert (record.parent_id, record.group_id) == ("['a']", "5")
    app.close()


def test_a_worker_with_processes_of_its_own_survives_them_too(tmp_path, redis_url, monkeypatch):
    monkeypatch.setenv("FUZZ_URL", redis_url)
    deployment, app = Deployment(tmp_path, redis_url, redis_url), make_app(redis_url)
    accounts = Accounts(app)
    try:
        node = deployment.start("-c", "2", app="tests.apps.fuzzed")
        children = node.children()

        @FUZZ
        @given(st.lists(anything, min_size=30, max_size=60))
        def fuzz(batch):
            put_raw(app.broker, batch)
            assert app.tasks["sum"].delay(2, 3).get(timeout=LIMIT) == 5
            await_true(lambda: accounts.now()[0] == 0, LIMIT, f"{batch}")
            check_unreadable(app, batch)
            check_known(app, batch)

        fuzz()
        assert node.process.poll() is None
        assert node.children() == children, "a process died"
    finally:
        deployment.end()
        app.close()
