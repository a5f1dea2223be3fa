"""A paused queue is worked on by no node until somebody resumes it."""

from __future__ import annotations

import time

from tests.deployment import await_true


def test_a_paused_queue_delivers_nothing_on_any_node_until_it_is_resumed(deploy):
    deployment = deploy()
    deployment.start("-c", "1", name="one")
    deployment.start("-c", "1", name="two")
    app = deployment.app()
    assert app.send_task("add", args=(1, 1)).get(timeout=10) == 2

    assert deployment.run("queues", "pause", "celery").returncode == 0
    for _ in range(6):
        app.send_task("work", args=("paused", 0.05))
    deployment.start("-c", "1", name="three")  # one that was not there when it was paused
    time.sleep(0.5)  # nothing happens; less time would make the test easier, never wrong
    assert deployment.runs.count("start")["paused"] == 0
    [status] = [queue for queue in app.broker.admin.queues() if queue.name == "celery"]
    assert (status.ready, status.lent, status.paused) == (6, 0, True)

    app.broker.admin.resume("celery")
    await_true(lambda: deployment.runs.count("end")["paused"] == 6, 10)


def test_what_runs_when_its_queue_is_paused_runs_to_its_end(deploy):
    deployment = deploy()
    deployment.start("-c", "1")
    app = deployment.app()
    running = app.send_task("work", args=("running", 0.5))
    await_true(lambda: deployment.runs.count("start")["running"], 10)
    app.broker.admin.pause("celery")

    assert running.get(timeout=10) == "running"


def test_a_pause_outlives_all_workers(deploy):
    """Pain 42 of Celery's users: there, a new worker would run all of it."""
    deployment = deploy()
    first = deployment.start("-c", "2", name="first")
    app = deployment.app()
    app.broker.admin.pause("celery")
    work = app.task(lambda _tag: None, name="work")
    results = work.delay_many([(number,) for number in range(100)])
    first.end()
    deployment.start("-c", "2", name="second")
    time.sleep(0.5)  # nothing happens; less time would make the test easier, never wrong
    assert deployment.runs.lines() == []

    app.broker.admin.resume("celery")
    assert [result.get(timeout=10) for result in results] == list(range(100))
    assert set(deployment.runs.count("start").values()) == {1}
