"""A task that was revoked before it began never begins, on no worker (pain 9 of Celery's users)."""

from __future__ import annotations

import time

from tests.deployment import await_true

from umbel.exceptions import TaskRevokedError


def test_revoked_tasks_do_not_start_after_all_workers_were_restarted(deploy):
    deployment = deploy()
    first = deployment.start("-c", "1")
    app = deployment.app()
    blocker = app.send_task("work", args=("blocker", 2.0))
    await_true(lambda: deployment.runs.count("start")["blocker"], 10)
    waiting = [app.send_task("work", args=("waiting",)) for _ in range(20)]
    delayed = [app.send_task("work", args=("delayed",), countdown=2.0) for _ in range(200)]

    for result in (*waiting, *delayed):
        result.revoke()
    assert {result.state for result in delayed} == {"REVOKED"}
    first.end()
    deployment.start("-c", "2", name="next")
    deployment.start("-c", "1", name="another")

    assert blocker.get(timeout=15) == "blocker"
    for result in waiting:
        assert isinstance(result.get(timeout=10, propagate=False), TaskRevokedError)
    assert {result.state for result in (*waiting, *delayed)} == {"REVOKED"}
    last = app.send_task("work", args=("last",), countdown=1.0)
    assert last.get(timeout=10) == "last"
    assert set(deployment.runs.count("start")) == {"blocker", "last"}


def test_a_delayed_task_that_only_the_broker_remembers_as_revoked_does_not_start(deploy):
    deployment = deploy()
    app = deployment.app()
    revoked = app.send_task("work", args=("revoked",), countdown=1.0)
    other = app.send_task("work", args=("other",), countdown=1.2)
    app.broker.revoke([revoked.id], time.time() + 60)
    node = deployment.start("-c", "1")

    assert other.get(timeout=10) == "other"
    await_true(lambda: revoked.state == "REVOKED", 10)
    assert set(deployment.runs.count("start")) == {"other"}
    assert f"Discarding revoked task: work[{revoked.id}] (revoked)" in node.log


def test_a_running_worker_hears_of_revocations(deploy):
    deployment = deploy()
    app = deployment.app()
    deployment.start("-c", "1")
    blocker = app.send_task("work", args=("blocker", 0.5))
    await_true(lambda: deployment.runs.count("start")["blocker"], 10)
    revoked = app.send_task("work", args=("revoked",))
    revoked.revoke()
    other = app.send_task("work", args=("other",))

    assert blocker.get(timeout=10) == "blocker"
    assert other.get(timeout=10) == "other"
    await_true(lambda: revoked.state == "REVOKED", 10)
    assert set(deployment.runs.count("start")) == {"blocker", "other"}
