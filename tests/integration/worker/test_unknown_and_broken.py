"""Messages that nobody can run: unknown names, garbage, too much (pain 10 of Celery's users)."""

import time

import pytest
from tests.deployment import await_true

from umbel.brokers.sql.broker import SqlBroker
from umbel.exceptions import MessageTooLarge, NotRegistered


def put(app, *several):
    """Bytes on the queue, as another program would leave them."""
    broker = app.broker
    for data in several:
        if isinstance(broker, SqlBroker):
            with broker.driver.session() as session:
                insert = (
                    "INSERT INTO umbel_message (state, queue, priority, raw) VALUES (0, ?, 0, ?)"
                )
                session.execute(insert, ("celery", data))
        else:
            broker.pool.call("LPUSH", "celery", data)


def test_an_unknown_task_is_parked_and_runs_when_a_worker_that_knows_it_comes(deploy):
    deployment = deploy()
    old = deployment.start("-c", "1", name="old")
    app = deployment.app()
    futures = [app.send_task("future", args=(n,)) for n in range(100)]
    assert app.send_task("add", args=(1, 1)).get(timeout=5) == 2

    await_true(lambda: app.broker.admin.parked() == {"future": 100}, 5)
    assert "100 of task 'future'" in deployment.run("queues").stdout
    assert "future" in old.log
    deployment.start("-c", "1", name="new", app="tests.apps.future")
    assert [result.get(timeout=10) for result in futures] == list(range(100))
    assert app.broker.admin.parked() == {}


def test_an_unknown_task_ends_as_a_dead_letter_after_its_time(deploy):
    deployment = deploy(worker_unknown_task_timeout=0.5)
    deployment.start("-c", "1")
    app = deployment.app()
    result = app.send_task("never_written")

    with pytest.raises(NotRegistered, match="never_written"):
        result.get(timeout=15)
    [letter] = app.broker.admin.dead()
    assert letter.id == result.id
    assert "NotRegistered" in letter.reason


def test_garbage_goes_to_the_dead_letters_and_disturbs_nobody(deploy):
    deployment = deploy()
    node = deployment.start("-c", "1")
    app = deployment.app()
    assert app.send_task("add", args=(1, 1)).get(timeout=5) == 2
    put(app, *(b"\x00broken %d" % n for n in range(10)))

    await_true(lambda: app.broker.admin.dead_count() == 10, 5)
    began = time.monotonic()
    assert app.send_task("add", args=(2, 2)).get(timeout=5) == 4
    assert time.monotonic() - began < 1
    assert "Lost" not in node.log
    assert len(node.children()) == 1


BROKEN_ENVELOPES = [
    b"{}",
    b"[]",
    b'{"body": "W10="}',
    b'{"body": "W10=", "headers": {}, "properties": {}}',
    b'{"body": "W10=", "headers": {"task": "add", "id": "i"}, "properties": {}}',
    b'{"body": "!", "headers": {"task": "add", "id": "i"}, "properties": {"body_encoding": "base64"}}',
    b'{"body": "[[1, 2], {}, {}]", "headers": {"task": 5, "id": "i"}, "properties": {}}',
    b'{"body": "[[1, 2], {}, {}]", "headers": {"task": "add", "id": "i", "retries": "x"}}',
    b'{"body": "[[1, 2], {}, {}]", "headers": {"task": "add", "id": "i", "eta": "soon"}}',
    b'{"body": "[[1, 2], {}, {}]", "headers": {"task": "add", "id": "i", "compression": "odd"}}',
]


def test_broken_envelopes_are_kept_as_they_came_and_nobody_reconnects(deploy):
    deployment = deploy()
    node = deployment.start("-c", "1")
    app = deployment.app()
    assert app.send_task("add", args=(1, 1)).get(timeout=5) == 2
    children = node.children()
    put(app, *BROKEN_ENVELOPES)
    began = time.monotonic()
    assert app.send_task("add", args=(2, 2)).get(timeout=5) == 4
    assert time.monotonic() - began < 1

    await_true(lambda: app.broker.admin.dead_count() == len(BROKEN_ENVELOPES), 5)
    assert sorted(letter.raw for letter in app.broker.admin.dead()) == sorted(BROKEN_ENVELOPES)
    assert "Lost" not in node.log
    assert node.children() == children


def test_an_envelope_with_nothing_but_a_task_and_its_arguments_is_enough(deploy):
    """Without the delivery tag and the routing that Celery's own clients add."""
    deployment = deploy()
    deployment.start("-c", "1")
    app = deployment.app()
    put(app, b'{"body": "[[2, 3], {}, {}]", "headers": {"task": "add", "id": "bare"}}')

    assert app.AsyncResult("bare").get(timeout=10) == 5


def test_a_message_over_the_size_limit_is_refused_at_the_call(deploy):
    deployment = deploy()
    app = deployment.app()
    app.conf.message_max_size = 10_000

    with pytest.raises(MessageTooLarge, match=r"10,?000"):
        app.send_task("work", args=("x" * 20_000,))
    assert app.send_task("work", args=("x" * 100,)).id
