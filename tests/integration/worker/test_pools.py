"""Pools that run several jobs in one process: threads, asyncio and gevent."""

import os
import signal
import time

import pytest
from tests.deployment import await_true

from umbel.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded

POOLS = ["threads", "asyncio", "gevent"]


@pytest.fixture(params=POOLS)
def pool(request):
    return request.param


@pytest.fixture
def work(deploy, pool):
    """Starts a worker of this pool; gives its app."""
    deployment = deploy()

    def start(*arguments, slots=20):
        node = deployment.start("-P", pool, "-c", str(slots), *arguments, app="tests.apps.pools")
        return deployment.app(), node, deployment

    return start


def test_as_many_jobs_run_at_once_as_there_are_slots(work, pool):
    app, _, _ = work(slots=50)
    name = "async_sleep" if pool == "asyncio" else "sleep"
    assert app.send_task(name, args=(0.01,)).get(timeout=10) == 0.01
    began = time.monotonic()
    results = [app.send_task(name, args=(0.5,)) for _ in range(50)]

    assert [result.get(timeout=10) for result in results] == [0.5] * 50
    assert time.monotonic() - began < 2.0


def test_plain_functions_and_coroutine_functions_run_in_every_pool(work):
    app, _, _ = work()

    assert app.send_task("add", args=(1, 2)).get(timeout=10) == 3
    assert app.send_task("async_sleep", args=(0.01,)).get(timeout=10) == 0.01


def test_each_job_sees_its_own_request(work):
    app, _, _ = work(slots=10)
    plain = [app.send_task("who", args=(0.2,)) for _ in range(10)]
    coroutines = [app.send_task("async_who", args=(0.2,)) for _ in range(10)]

    for result in plain:
        assert result.get(timeout=10) == [result.id] * 2
    for result in coroutines:
        assert result.get(timeout=10) == [result.id] * 3


def test_a_soft_limit_reaches_the_job_and_nobody_else(work):
    app, _, _ = work()
    beside = app.send_task("sleep", args=(0.6,))
    limited = [app.send_task(name) for name in ("plain_soft", "async_soft")]

    assert [result.get(timeout=10) for result in limited] == ["cleaned up"] * 2
    assert beside.get(timeout=10) == 0.6


def test_a_soft_limit_that_is_not_caught_fails_the_job(work):
    app, _, _ = work()
    result = app.send_task("async_sleep", args=(10,), soft_time_limit=0.1)

    with pytest.raises(SoftTimeLimitExceeded):
        result.get(timeout=10)


def test_a_hard_limit_is_raised_inside_the_job(work):
    app, node, _ = work()
    with pytest.raises(TimeLimitExceeded):
        app.send_task("async_sleep", args=(10,), time_limit=0.2).get(timeout=10)
    with pytest.raises(TimeLimitExceeded):
        app.send_task("doze", args=(10,), time_limit=0.2).get(timeout=10)
    both = app.send_task("plain_soft", soft_time_limit=0.1, time_limit=5)
    assert both.get(timeout=10) == "cleaned up"
    assert "only raise TimeLimitExceeded inside the task" in node.log


def test_errors_retries_and_early_acknowledgement_of_coroutines(work):
    app, _, _ = work()

    with pytest.raises(LookupError, match="no such thing"):
        app.send_task("async_fail").get(timeout=10)
    assert app.send_task("async_retry").get(timeout=10) == 2
    assert app.send_task("async_early").get(timeout=10) == "ran"


def test_a_worker_that_is_told_to_stop_finishes_what_runs_and_gives_the_rest_back(work):
    app, node, deployment = work(slots=4)
    jobs = [app.send_task("work", args=(number, 0.6)) for number in range(12)]
    await_true(lambda: len(deployment.runs.count("start")) >= 4, 10)
    node.signal(signal.SIGTERM)

    assert node.wait() == 0
    started = deployment.runs.count("start")
    assert started == deployment.runs.count("end")
    assert len(started) < 12
    [status] = app.broker.admin.queues(["celery"])
    assert status.ready == 12 - len(started)
    assert sum(job.ready() for job in jobs) == len(started)


def test_a_process_that_is_killed_gives_every_running_job_back(work):
    app, node, deployment = work(slots=5)
    jobs = [app.send_task("work", args=(number, 3.0)) for number in range(5)]
    await_true(lambda: len(deployment.runs.count("start")) == 5, 10)
    os.kill(node.children()[0], signal.SIGKILL)

    assert [job.get(timeout=20) for job in jobs] == list(range(5))
    assert all(count == 2 for count in deployment.runs.count("start").values())


def test_a_coroutine_that_blocks_does_not_hold_up_settlements(deploy):
    """With asyncio the consumer's loop has a thread of its own."""
    deployment = deploy()
    deployment.start("-P", "asyncio", "-c", "10", app="tests.apps.pools")
    app = deployment.app()
    quick = app.send_task("async_sleep", args=(0.05,))
    assert quick.get(timeout=10) == 0.05
    running = app.send_task("sleep", args=(0.5,))
    slow = app.send_task("async_block", args=(3.0,))
    plain = app.send_task("add", args=(1, 1))
    began = time.monotonic()

    assert plain.get(timeout=10) == 2
    assert running.get(timeout=10) == 0.5
    assert time.monotonic() - began < 2.0, "while the event loop was blocked"
    assert slow.get(timeout=10) == "blocked"


def test_processes_multiply_any_pool(work):
    _, node, _ = work("--processes", "3", slots=2)

    await_true(lambda: len(node.children()) == 3, 5)
