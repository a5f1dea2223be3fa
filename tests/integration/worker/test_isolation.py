"""What tasks of one process do not notice of each other, and children of their supervisor."""

import os
import signal

import pytest
from tests.deployment import await_true


@pytest.fixture
def kind():
    """The broker has no part in it."""
    return "sqlite"


def test_a_coroutine_does_not_see_what_another_one_has_set(deploy):
    deployment = deploy()
    deployment.start("-P", "asyncio", "-c", "2", app="tests.apps.pools")
    app = deployment.app()
    results = [app.send_task("what_was_set", args=(number,)) for number in range(20)]

    assert [result.get(timeout=10) for result in results] == [None] * 20


@pytest.mark.parametrize("pool", ["asyncio", "threads", "gevent"])
@pytest.mark.parametrize("name", ["async_leave", "leave"])
def test_a_task_that_exits_ends_no_other(deploy, pool, name):
    deployment = deploy()
    node = deployment.start("-P", pool, "-c", "2", app="tests.apps.pools")
    app, children = deployment.app(), node.children()
    beside = app.send_task("async_sleep", args=(0.5,))
    left = app.send_task(name)

    assert type(left.get(timeout=10, propagate=False)).__name__ == "SystemExit"
    assert beside.get(timeout=10) == 0.5
    assert node.children() == children


@pytest.mark.parametrize("pool", ["threads", "gevent"])
def test_plain_functions_are_not_inside_the_loop_of_coroutines_beside_them(deploy, pool):
    deployment = deploy()
    deployment.start("-P", pool, "-c", "20", app="tests.apps.pools")
    app = deployment.app()
    coroutines = [app.send_task("async_sleep", args=(0.5,)) for _ in range(5)]
    loops = [app.send_task("loop_of_its_own", args=(0.01 * number,)) for number in range(10)]
    plain = [app.send_task("inside_a_loop") for _ in range(10)]

    assert [result.get(timeout=10) for result in plain] == [False] * 10
    assert [result.get(timeout=10) for result in loops] == ["slept"] * 10
    assert [result.get(timeout=10) for result in coroutines] == [0.5] * 5


def test_a_task_that_breaks_the_event_loop_costs_the_others_a_second_run(deploy):
    deployment = deploy()
    deployment.start("-P", "asyncio", "-c", "2", app="tests.apps.pools")
    app = deployment.app()
    beside = app.send_task("async_work", args=("beside", 1.0))
    await_true(lambda: deployment.runs.count("start")["beside"], 10)
    app.send_task("break_the_loop")

    assert beside.get(timeout=20) == "beside"
    assert deployment.runs.count("start")["beside"] == 2


def test_children_with_greenlets_leave_the_work_of_the_supervisor_to_it(deploy):
    deployment = deploy()
    node = deployment.start("-P", "gevent", "-c", "2", app="tests.apps.pools")
    [first] = node.children()
    assert deployment.app().send_task("duties").get(timeout=10) == []
    os.kill(first, signal.SIGKILL)  # and its successor is forked while all of them are at work
    await_true(lambda: node.children() not in ([], [first]), 10)

    assert deployment.app().send_task("duties").get(timeout=10) == []
    assert "service ended" not in node.log
    assert "Exception in thread" not in node.log
