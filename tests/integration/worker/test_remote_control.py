"""Nodes that are asked and steered from afar; terminated tasks; queues taken and left."""

from __future__ import annotations

import os
import signal
import time

import pytest
from tests.deployment import await_true

from umbel.exceptions import TaskRevokedError

POOLS = ["prefork", "threads", "asyncio", "gevent", "solo"]


@pytest.fixture
def pair(deploy):
    """Two nodes, the app of both, and the deployment."""
    deployment = deploy()
    nodes = [
        deployment.start("-c", "2", app="tests.apps.pools", name="one"),
        deployment.start("-c", "1", app="tests.apps.pools", name="two"),
    ]
    return deployment.app(), nodes, deployment


def test_both_nodes_answer_and_each_by_its_name(pair):
    app, _, _ = pair

    assert sorted(app.control.ping(timeout=5), key=str) == [
        {"one@test": {"ok": "pong"}},
        {"two@test": {"ok": "pong"}},
    ]
    assert app.control.ping(destination=["two@test"], timeout=5) == [{"two@test": {"ok": "pong"}}]


def test_what_runs_and_what_waits_is_told_with_its_arguments(pair):
    app, _, deployment = pair
    jobs = [app.send_task("work", args=(number, 5.0)) for number in range(3)]
    await_true(lambda: len(deployment.runs.count("start")) == 3, 10)

    told = app.control.inspect(timeout=5).active()
    assert {node: len(running) for node, running in told.items()} == {"one@test": 2, "two@test": 1}
    running = [one for node in told.values() for one in node]
    assert sorted(one["id"] for one in running) == sorted(job.id for job in jobs)
    assert sorted(one["args"][0] for one in running) == [0, 1, 2]
    assert {one["worker_pid"] for one in running} == {
        pid for tag in range(3) for pid in deployment.runs.pids(tag)
    }

    found = app.control.inspect(timeout=5).query_task(jobs[0].id)
    [[where, request]] = [tasks[jobs[0].id] for tasks in found.values() if tasks]
    assert (where, request["name"]) == ("active", "work")
    app.control.revoke([job.id for job in jobs], terminate=True)


def test_a_delayed_task_is_scheduled_on_every_node_of_its_queue(pair):
    app, _, _ = pair
    job = app.send_task("add", args=(1, 2), countdown=3600)

    told = app.control.inspect(timeout=5).scheduled()
    assert [[one["request"]["id"] for one in tasks] for tasks in told.values()] == [[job.id]] * 2


@pytest.mark.parametrize("pool", POOLS)
def test_a_revoked_task_that_runs_ends_within_a_second(deploy, pool):
    deployment = deploy()
    deployment.start("-P", pool, "-c", "2", app="tests.apps.pools")
    app = deployment.app()
    # In a thread, a call into C ends before anything can be raised.
    name = {"asyncio": "async_work", "threads": "doze_work"}.get(pool, "work")
    assert app.send_task("add", args=(1, 1)).get(timeout=10) == 2
    took = []
    for tag in ("first", "second", "third"):  # the machine may be busy with something else
        job = app.send_task(name, args=(tag, 30.0))
        await_true(lambda tag=tag: deployment.runs.count("start")[tag], 10)
        beside = None if pool == "solo" else app.send_task("add", args=(3, 4))

        began = time.monotonic()
        job.revoke(terminate=True)
        with pytest.raises(TaskRevokedError, match="terminated"):
            job.get(timeout=10)
        took.append(time.monotonic() - began)
        assert job.state == "REVOKED"
        if beside is not None:
            assert beside.get(timeout=10) == 7
        assert deployment.runs.count("start")[tag] == 1
        assert deployment.runs.count("end")[tag] == 0
        if took[-1] < 1.0:
            break
    assert min(took) < 1.0
    assert app.send_task("add", args=(5, 6)).get(timeout=10) == 11
    assert app.broker.admin.dead_count() == 0


def test_a_plain_function_among_coroutines_is_terminated_too(deploy):
    deployment = deploy()
    deployment.start("-P", "asyncio", "-c", "4", app="tests.apps.pools")
    app = deployment.app()
    job = app.send_task("doze", args=(30.0,))
    await_true(lambda: any(app.control.inspect(timeout=5).active().values()), 10)
    job.revoke(terminate=True)

    with pytest.raises(TaskRevokedError, match="terminated"):
        job.get(timeout=10)


def test_other_tasks_of_the_process_go_on_when_one_is_terminated(deploy):
    deployment = deploy()
    deployment.start("-P", "threads", "-c", "4", app="tests.apps.pools")
    app = deployment.app()
    jobs = [app.send_task("doze_work", args=(number, 2.0)) for number in range(4)]
    await_true(lambda: len(deployment.runs.count("start")) == 4, 10)
    jobs[2].revoke(terminate=True)

    assert [jobs[number].get(timeout=10) for number in (0, 1, 3)] == [0, 1, 3]
    assert jobs[2].state == "REVOKED"


def test_a_queue_is_taken_up_and_left_at_run_time(pair):
    app, nodes, deployment = pair
    job = app.send_task("work", args=("extra", 0.0), queue="extra")
    assert app.control.add_consumer("extra", destination=["two@test"], reply=True, timeout=5)
    assert job.get(timeout=10) == "extra"
    assert deployment.runs.pids("extra")[0] in nodes[1].children()
    told = app.control.inspect(timeout=5).active_queues()
    assert [queue["name"] for queue in told["two@test"]] == ["celery", "extra"]
    assert [queue["name"] for queue in told["one@test"]] == ["celery"]

    app.control.cancel_consumer("celery", destination=["two@test"], reply=True, timeout=5)
    app.control.cancel_consumer("extra", destination=["two@test"], reply=True, timeout=5)
    left = app.send_task("work", args=("left", 0.0), queue="extra")
    jobs = [app.send_task("work", args=(number, 0.01)) for number in range(20)]
    assert [one.get(timeout=10) for one in jobs] == list(range(20))
    assert {deployment.runs.pids(number)[0] for number in range(20)} <= set(nodes[0].children())
    assert not left.ready()


def test_a_process_that_is_replaced_takes_the_queues_that_its_predecessor_took(pair):
    app, nodes, _ = pair
    app.control.add_consumer("extra", reply=True, timeout=5)
    killed = nodes[1].children()[0]
    nodes[0].signal(signal.SIGTERM)
    nodes[0].wait()
    os.kill(killed, signal.SIGKILL)
    await_true(lambda: nodes[1].children() not in ([], [killed]), 10)

    assert app.send_task("add", args=(1, 2), queue="extra").get(timeout=10) == 3


def test_a_process_may_be_replaced_while_no_queue_is_taken(deploy):
    deployment = deploy()
    app, node = deployment.app(), deployment.start("-c", "1")
    app.control.cancel_consumer("celery", reply=True, timeout=5)
    [killed] = node.children()
    os.kill(killed, signal.SIGKILL)
    await_true(lambda: node.children() not in ([], [killed]) and node.ready(), 10)
    job = app.send_task("add", args=(1, 2))

    app.control.add_consumer("celery", reply=True, timeout=5)
    assert job.get(timeout=10) == 3
    assert node.log.count(" died: ") == 1


def test_a_worker_ends_when_it_is_told_to_from_afar(pair):
    app, nodes, _ = pair
    job = app.send_task("work", args=("last", 0.5))
    app.control.shutdown(destination=["one@test"])

    assert nodes[0].wait() == 0
    assert app.control.ping(timeout=2) == [{"two@test": {"ok": "pong"}}]
    assert job.get(timeout=10) == "last"


def test_what_processes_took_that_were_replaced_still_counts(deploy):
    deployment = deploy()
    deployment.start("-c", "1", "--max-tasks-per-child", "2", app="tests.apps.pools", name="one")
    app = deployment.app()
    jobs = [app.send_task("add", args=(number, 1)) for number in range(7)]
    assert [job.get(timeout=20) for job in jobs] == list(range(1, 8))

    def total():
        return app.control.inspect(timeout=5).stats()["one@test"]["total"]

    await_true(lambda: total() == {"add": 7}, 10)


@pytest.mark.parametrize("pool", ["prefork", "asyncio"])
def test_a_process_that_begins_while_there_is_no_queue_waits_for_one(deploy, pool):
    deployment = deploy()
    node = deployment.start("-P", pool, "-c", "1", app="tests.apps.pools", name="one")
    app = deployment.app()
    app.control.cancel_consumer("celery", reply=True, timeout=5)
    first = node.children()
    os.kill(first[0], signal.SIGKILL)
    await_true(lambda: node.children() not in ([], first), 10)
    second = node.children()
    job = app.send_task("add", args=(1, 2))
    await_true(node.ready, 10)
    app.control.add_consumer("celery", reply=True, timeout=5)

    assert job.get(timeout=10) == 3
    assert node.children() == second


def test_stamped_tasks_are_taken_back_whether_they_wait_or_run(deploy):
    deployment = deploy()
    app = deployment.app()
    stamps = {"stamped_headers": ["order"], "stamps": {"order": "7"}}
    waiting = [app.send_task("work", args=(n, 0.0), **stamps) for n in range(3)]
    other = app.send_task(
        "work", args=("other", 0.0), stamped_headers=["order"], stamps={"order": "8"}
    )
    app.control.revoke_by_stamped_headers({"order": "7"})
    deployment.start("-c", "1", app="tests.apps.pools")

    assert other.get(timeout=10) == "other"
    for job in waiting:
        with pytest.raises(TaskRevokedError):
            job.get(timeout=10)
    running = app.send_task(
        "work", args=("x", 30.0), stamped_headers=["kind"], stamps={"kind": ["a", "b"]}
    )
    await_true(lambda: deployment.runs.count("start")["x"], 10)
    app.control.revoke_by_stamped_headers({"kind": "b"}, terminate=True)
    with pytest.raises(TaskRevokedError, match="terminated"):
        running.get(timeout=10)
    assert set(deployment.runs.count("start")) == {"other", "x"}


def test_a_process_that_outlives_its_supervisor_does_not_seem_to_listen(deploy):
    deployment = deploy()
    node = deployment.start("-c", "1", app="tests.apps.pools", name="one")
    app = deployment.app()
    job = app.send_task("work", args=("long", 3.0))
    await_true(lambda: deployment.runs.count("start")["long"], 10)

    def listening():
        return app.broker.bus.publish("celery.pidbox", {})

    if listening() is None:
        pytest.skip("this kind of broker does not know who listens")
    node.signal(signal.SIGKILL)
    node.wait()
    await_true(lambda: listening() == 0, 2)
    assert job.get(timeout=20) == "long"
