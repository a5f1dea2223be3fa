"""Rate limits on real workers: what waits, what does not, and what changes at run time."""

from __future__ import annotations

import time

import pytest
from tests.deployment import await_true

APP = "tests.apps.limited"


def most_in_a_second(moments):
    return max(
        sum(begin <= moment < begin + 1 for moment in moments[number:])
        for number, begin in enumerate(moments)
    )


def test_all_processes_of_a_node_together_keep_the_rate(deploy):
    deployment = deploy()
    deployment.start("-c", "2", app=APP)
    app = deployment.app()
    jobs = [app.send_task("ten") for _ in range(25)]

    assert [job.get(timeout=30) for job in jobs] == ["ten"] * 25
    moments = sorted(deployment.runs.moments("start", "ten"))
    # A moment is written when the task runs: on a loaded machine a little after it was let through.
    assert moments[-1] - moments[0] >= 1.8
    assert most_in_a_second(moments) <= 13
    assert len(moments) == 25, "none ran twice"


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_task_that_waits_for_its_rate_holds_up_no_other(deploy, pool):
    deployment = deploy()
    deployment.start("-P", pool, "-c", "2", app=APP)
    app = deployment.app()
    for _ in range(50):
        app.send_task("rare")
    await_true(lambda: deployment.runs.count("start")["rare"], 10)
    began = time.monotonic()
    free = [app.send_task("free") for _ in range(50)]

    assert [job.get(timeout=20) for job in free] == ["free"] * 50
    assert time.monotonic() - began < 10
    assert deployment.runs.count("start") == {"rare": 1, "free": 50}
    await_true(lambda: len(app.broker.admin.delayed("celery")) == 49, 10, "all others wait")
    assert app.broker.admin.dead() == []


def test_another_rate_holds_at_once_for_tasks_that_had_one_and_for_those_that_had_none(deploy):
    deployment = deploy()
    deployment.start("-c", "2", app=APP)
    app = deployment.app()

    def change(name, rate):
        [reply] = app.control.rate_limit(name, rate, reply=True, timeout=10)
        return reply["node0@test"]

    assert change("rare", 0) == {"ok": "rate limit disabled successfully"}
    jobs = [app.send_task("rare") for _ in range(20)]
    assert [job.get(timeout=10) for job in jobs] == ["rare"] * 20

    assert change("free", "1/h") == {"ok": "new rate limit set successfully"}
    assert app.send_task("free").get(timeout=10) == "free"
    waiting = app.send_task("free")
    await_true(lambda: app.broker.admin.delayed("celery"), 10)
    assert not waiting.ready()

    assert change("fre", "1/h") == {"error": "unknown task 'fre'; did you mean 'free'?"}
    assert "did you mean '5/m'?" in change("free", "5/minute")["error"]


def test_the_setting_gives_every_task_a_rate_and_another_setting_ignores_them_all(deploy):
    limited = deploy(task_default_rate_limit="1/h")
    limited.start("-c", "1")
    app = limited.app()
    assert app.send_task("add", args=(1, 1)).get(timeout=10) == 2
    app.send_task("add", args=(1, 1))
    await_true(lambda: app.broker.admin.delayed("celery"), 10)
    limited.end()

    ignoring = deploy(task_default_rate_limit="1/h", worker_disable_rate_limits=True)
    ignoring.start("-c", "1")
    jobs = [app.send_task("add", args=(1, number)) for number in range(5)]
    assert [job.get(timeout=10) for job in jobs] == [1, 2, 3, 4, 5]


def test_what_expires_while_it_waits_for_its_rate_is_revoked_in_time(deploy):
    deployment = deploy()
    deployment.start("-c", "1", app=APP)
    app = deployment.app()
    assert app.send_task("rare").get(timeout=10) == "rare"
    late = app.send_task("rare", expires=0.5)

    await_true(lambda: late.state == "REVOKED", 10)
    assert deployment.runs.count("start")["rare"] == 1
