"""Whatever a task does, it ends itself at most: the process, its neighbours and the worker go on."""

import os
import signal
import time

import pytest
from tests.deployment import await_true

from umbel.exceptions import EncodeError, TimeLimitExceeded, WorkerLostError


@pytest.fixture
def hostile(deploy):
    """A worker of one process with hostile tasks: (deployment, node, app)."""
    deployment = deploy()
    node = deployment.start("-c", "1", app="tests.apps.hostile")
    return deployment, node, deployment.app()


def goes_on(node, app, children):
    assert app.send_task("add", args=(1, 1)).get(timeout=10) == 2
    assert node.children() == children


def test_a_result_is_what_the_task_returned_even_if_it_changes_later(hostile):
    _deployment, _node, app = hostile
    results = [app.send_task("alias", args=(number,)) for number in range(6)]

    assert [len(result.get(timeout=10)) for result in results] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("name", ["huge_number", "retry_with_an_odd_header"])
def test_what_cannot_be_written_fails_its_task(hostile, name):
    _deployment, node, app = hostile
    children = node.children()

    with pytest.raises(EncodeError):
        app.send_task(name).get(timeout=10)
    goes_on(node, app, children)


@pytest.mark.parametrize("name", ["cancelled", "interrupted", "throws_a_list"])
def test_whatever_a_task_raises_is_a_failure(hostile, name):
    _deployment, node, app = hostile
    children = node.children()
    result = app.send_task(name)
    result.get(timeout=10, propagate=False)

    assert result.state == "FAILURE"
    goes_on(node, app, children)


@pytest.mark.parametrize("header", ["next_message", "children", "retry_limit", "entered"])
def test_headers_of_a_stranger_do_not_reach_our_own_attributes(hostile, header):
    _deployment, node, app = hostile
    children = node.children()

    assert app.send_task("add", args=(2, 2), headers={header: "5"}).get(timeout=10) == 4
    goes_on(node, app, children)


@pytest.mark.parametrize("pool", ["asyncio", "gevent", "threads"])
def test_a_task_that_stops_the_event_loop_stops_nothing(deploy, pool):
    deployment = deploy()
    size = ("-c", "1") if pool == "threads" else ("-c", "4")
    node = deployment.start("-P", pool, *size, app="tests.apps.hostile")
    app, children = deployment.app(), node.children()
    beside = app.send_task("work", args=("beside", 0.3))

    for _ in range(2):
        assert app.send_task("stop_the_loop").get(timeout=10) == "gone on"
    assert beside.get(timeout=10) == "beside"
    assert deployment.runs.count("start") == {"beside": 1}
    goes_on(node, app, children)


def test_a_task_that_forks_and_returns_twice_has_run_once(hostile):
    _deployment, node, app = hostile
    children = node.children()

    assert app.send_task("fork").get(timeout=10) is False
    goes_on(node, app, children)


def test_programs_that_a_task_starts_can_be_ended(hostile):
    _deployment, _node, app = hostile

    assert app.send_task("terminate_a_program").get(timeout=30) < 5


@pytest.mark.parametrize(
    ("name", "error"), [("early_hard", TimeLimitExceeded), ("early_die", WorkerLostError)]
)
def test_who_waits_for_a_task_that_ran_at_most_once_is_told_of_its_death(hostile, name, error):
    _deployment, _node, app = hostile
    result = app.send_task(name)

    with pytest.raises(error):
        result.get(timeout=10)


@pytest.mark.redis
def test_a_result_backend_that_is_away_takes_nothing_from_living_workers(tmp_path, redis_server):
    from tests.deployment import Deployment
    from tests.servers import RedisServer

    results = RedisServer()
    results.start()
    quick = {"worker_heartbeat_interval": 0.3, "worker_heartbeat_limit": 2.0}
    deployment = Deployment(tmp_path, redis_server.url, results.url, **quick)
    try:
        deployment.start("-c", "2", name="first", app="tests.apps.hostile")
        deployment.start("-c", "1", name="second", app="tests.apps.hostile")
        app = deployment.app()
        app.send_task("work", args=("long", 6.0), ignore_result=True)
        await_true(lambda: deployment.runs.count("start")["long"] == 1, 5)
        results.stop()
        tracked = app.send_task("tracked")
        poison = app.send_task("die", args=("poison",))
        await_true(lambda: deployment.runs.count("end")["long"] == 1, 20)

        assert deployment.runs.count("start")["long"] == 1
        results.start()
        assert tracked.get(timeout=15) == "done"
        with pytest.raises(WorkerLostError):
            poison.get(timeout=15)
    finally:
        deployment.end()
        results.remove()


@pytest.mark.redis
def test_hard_limits_are_kept_while_the_broker_hangs(tmp_path, redis_server):
    from tests.deployment import Deployment

    deployment = Deployment(tmp_path, redis_server.url, redis_server.url)
    try:
        node = deployment.start("-c", "2")
        app = deployment.app()
        app.send_task("hard", ignore_result=True)
        app.send_task("work", args=("x", 0.1)).get(timeout=5)
        before = set(node.children())
        redis_server.freeze()
        await_true(lambda: set(node.children()) != before, 3, "the child past its limit is ended")
        redis_server.thaw()
    finally:
        deployment.end()


def test_a_signal_without_a_name_kills_a_child_and_not_the_worker(hostile):
    _deployment, node, app = hostile
    [child] = node.children()
    os.kill(child, signal.SIGRTMIN + 6)
    await_true(lambda: node.children() not in ([child], []), 5)

    assert app.send_task("add", args=(1, 1)).get(timeout=10) == 2


def test_ready_is_false_while_the_worker_stops(hostile):
    _deployment, node, app = hostile
    deployment = _deployment
    app.send_task("work", args=("last", 1.5), ignore_result=True)
    await_true(lambda: deployment.runs.count("start")["last"], 5)
    node.signal(signal.SIGTERM)

    await_true(lambda: not node.ready(), 1)
    assert node.wait() == 0


@pytest.mark.parametrize("how", ["return", "raise"])
def test_only_the_process_of_a_task_calls_its_handlers_and_tells_of_its_end(deploy, how):
    deployment = deploy()
    node = deployment.start("-c", "1", app="tests.apps.stubborn")
    children = node.children()

    assert deployment.app().send_task("fork_and", args=(how,)).get(timeout=10) == "original"
    assert [(line[1], line[2], line[3]) for line in deployment.runs.lines()] == [
        (children[0], "on_success", "original")
    ]
    await_true(lambda: "succeeded" in node.log, 5)
    assert node.log.count(" succeeded in ") == 1
    assert " failed: " not in node.log
    assert ("A copy of task fork_and failed" in node.log) == (how == "raise")
    assert node.children() == children


@pytest.mark.redis
def test_waiting_for_a_server_is_not_the_time_of_a_task_that_has_not_begun(tmp_path, redis_server):
    from tests.deployment import Deployment

    url = f"{redis_server.url}?socket_timeout=0.5"  # so that settling the first fails in time
    deployment = Deployment(tmp_path, url, url)
    try:
        app = deployment.app()
        app.send_task("work", args=("first", 0.5))
        result = app.send_task("early_limited")
        node = deployment.start("-c", "1", "--prefetch-multiplier", "2", app="tests.apps.stubborn")
        await_true(lambda: deployment.runs.count("start")["first"], 10)
        children = node.children()
        redis_server.freeze()
        time.sleep(4.0)  # the first task, settling it in vain, over twice the limit of the second
        redis_server.thaw()

        assert result.get(timeout=15) == "done"
        assert node.children() == children
    finally:
        redis_server.thaw()
        deployment.end()
