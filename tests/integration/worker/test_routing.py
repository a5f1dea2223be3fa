"""Queues, exchanges and broadcasts with real workers."""

from __future__ import annotations

import importlib
from collections import Counter

import pytest
from tests.deployment import await_true

APP = "tests.apps.routed"


@pytest.fixture
def routed(deploy, monkeypatch):
    """A deployment, and its app in this process."""
    deployment = deploy()
    for name in ("MARKS_BROKER", "MARKS_BACKEND", "MARKS_LOG"):
        monkeypatch.setenv(name, deployment.env[name])
    from tests.apps import routed as module

    module = importlib.reload(module)
    yield deployment, module
    module.app.close()


def told(deployment):
    """How often each line was written."""
    path = deployment.runs.path
    return Counter(path.read_text().splitlines()) if path.exists() else Counter()


def test_a_message_to_an_exchange_runs_once_for_every_queue_that_it_leads_to(routed):
    deployment, module = routed
    deployment.start("-c", "1", "-Q", "all", app=APP, name="one")
    deployment.start("-c", "1", "-Q", "urgent,mail", app=APP, name="two")

    module.tell.apply_async(("both",), exchange="feeds", routing_key="feed.urgent")
    module.tell.apply_async(("single",), exchange="feeds", routing_key="feed.read.all")

    await_true(lambda: told(deployment).total() == 3, 10)
    assert told(deployment) == {
        "one feeds both": 1, "two feeds both": 1, "one feeds single": 1,
    }  # fmt: skip
    assert module.send.delay().get(timeout=10) == "mail"


def test_a_broadcast_runs_once_on_each_node_that_is_there(routed):
    deployment, module = routed
    first = deployment.start("-c", "2", app=APP, name="one")
    deployment.start("-c", "1", app=APP, name="two")
    await_true(lambda: len(module.app.broker.admin.consumers()) == 3, 10)

    module.tell.apply_async(("to all",), queue="news")
    await_true(lambda: told(deployment).total() == 2, 10)
    assert told(deployment) == {"one news to all": 1, "two news to all": 1}

    first.signal(15)
    assert first.wait() == 0
    module.tell.apply_async(("again",), queue="news")
    await_true(lambda: told(deployment).total() == 3, 10)
    assert told(deployment)["two news again"] == 1

    # What was sent while it was away is not kept for it.
    deployment.start("-c", "1", app=APP, name="one")
    module.tell.apply_async(("last",), queue="news")
    await_true(lambda: told(deployment).total() == 5, 10)
    assert told(deployment)["one news last"] == 1
    assert told(deployment)["one news again"] == 0


def test_what_a_dead_node_had_not_run_is_thrown_away(routed):
    deployment, module = routed
    admin = module.app.broker.admin
    node = deployment.start("-c", "1", app=APP, name="one")
    node.signal_tree(9)
    node.wait()
    module.tell.apply_async(("lost",), queue="news")
    own = "umbel.broadcast.news.one@test"
    assert any(queue.ready for queue in admin.queues([own]) if queue.name == own)

    await_true(
        lambda: all(each.silent_for > 2 for each in admin.consumers()), 10, "it is taken for dead"
    )
    deployment.start("-c", "1", app=APP, name="two")
    assert not any(queue.ready for queue in admin.queues([own]) if queue.name == own)
    assert told(deployment).total() == 0


def test_a_worker_leaves_out_queues_and_has_one_of_its_own(routed):
    deployment, module = routed
    node = deployment.start("-c", "1", "-X", "mail,news", app=APP, name="one")

    assert "queues:   celery, all, urgent, one@test.dq2" in node.log
    assert module.urgency.apply_async(queue="one@test.dq2", priority=4).get(timeout=10) == 4


def test_a_queue_to_leave_out_that_does_not_exist_is_refused(routed):
    deployment, _ = routed

    ended = deployment.run("worker", "-X", "mial", app=APP)

    assert ended.returncode != 0
    assert "no queue 'mial' to leave out; did you mean 'mail'" in ended.stderr + ended.stdout


def test_a_task_sent_by_a_task_has_its_priority_unless_it_says_another(routed):
    deployment, module = routed
    deployment.start("-c", "1", app=APP)
    app = module.app

    inherited = module.parent.apply_async(priority=6).get(timeout=10)
    own = module.parent.apply_async(kwargs={"priority": 2}, priority=6).get(timeout=10)

    assert app.AsyncResult(inherited).get(timeout=10) == 6
    assert app.AsyncResult(own).get(timeout=10) == 2


@pytest.mark.redis
@pytest.mark.parametrize("kind", ["redis"], indirect=False)
def test_kombu_finds_the_queues_of_our_exchanges(kind, routed, redis_server):
    deployment, _ = routed
    deployment.start("-c", "1", app=APP, name="one")
    between = b"\x06\x16"

    def members(exchange):
        return redis_server.call("SMEMBERS", f"_kombu.binding.{exchange}")

    assert set(members("feeds")) == {
        between.join((b"feed.#", rb"^feed\..*?$", b"all")),
        between.join((b"*.urgent", rb"^[^\.]+\.urgent$", b"urgent")),
    }
    assert set(members("mail")) == {between.join((b"mail", b"", b"mail"))}
    assert set(members("C.dq2")) == {between.join((b"one@test", b"", b"one@test.dq2"))}
    permanent = redis_server.call("SMEMBERS", "_kombu.binding_permanent.feeds")
    assert set(permanent) == set(members("feeds"))
