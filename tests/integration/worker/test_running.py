"""A task runs, end to end, with real processes."""

import time

import pytest
from tests.deployment import await_true

from umbel.exceptions import (
    EncodeError,
    MaxRetriesExceededError,
    SoftTimeLimitExceeded,
    TimeLimitExceeded,
)


def test_a_task_runs_and_its_result_comes_back(deploy):
    deployment = deploy()
    deployment.start("-c", "1")
    app = deployment.app()

    assert app.send_task("add", args=(2, 3)).get(timeout=5) == 5


def test_a_solo_worker_runs_tasks_too(deploy):
    deployment = deploy()
    deployment.start("-P", "solo")
    app = deployment.app()

    results = [app.send_task("add", args=(n, 1)) for n in range(20)]
    assert [result.get(timeout=5) for result in results] == list(range(1, 21))


def test_two_processes_work_at_once(deploy):
    deployment = deploy()
    deployment.start("-c", "2")
    app = deployment.app()
    await_true(lambda: len(app.broker.admin.consumers()) == 2, 5)

    results = [app.send_task("work", args=(n, 0.6)) for n in range(2)]
    for result in results:
        result.get(timeout=5)
    starts = [deployment.runs.moments("start", n)[0] for n in range(2)]
    assert abs(starts[0] - starts[1]) < 0.5
    assert deployment.runs.pids(0) != deployment.runs.pids(1)


def test_a_failing_task_raises_its_own_exception_at_the_caller(deploy):
    deployment = deploy()
    deployment.start("-c", "1")
    result = deployment.app().send_task("fail", args=("oh dear",))

    with pytest.raises(ValueError, match="oh dear"):
        result.get(timeout=5)
    assert result.state == "FAILURE"
    assert "raise ValueError(text)" in result.traceback


def test_a_failed_task_can_be_run_again_from_the_dead_letters(deploy):
    deployment = deploy()
    deployment.start("-c", "1")
    app = deployment.app()
    result = app.send_task("fail", args=("once more",))
    result.get(timeout=5, propagate=False)

    listed = deployment.run("dead", "list")
    assert result.id in listed.stdout
    assert "ValueError: once more" in listed.stdout
    retried = deployment.run("dead", "retry", result.id)
    assert retried.returncode == 0, retried.stderr
    await_true(
        lambda: [letter.id for letter in app.broker.admin.dead()] == [result.id],
        5,
        "it failed again and is listed once",
    )


def test_a_task_retries_until_it_succeeds(deploy):
    deployment = deploy()
    deployment.start("-c", "1")

    assert deployment.app().send_task("flaky", args=(3,)).get(timeout=5) == 3


def test_automatic_retries_end_with_the_tasks_own_error(deploy):
    deployment = deploy()
    node = deployment.start("-c", "1")
    result = deployment.app().send_task("automatic")

    with pytest.raises(KeyError):
        result.get(timeout=5)
    assert node.log.count("retry: Retry in") == 2


def test_a_task_that_catches_its_own_retry_runs_again_all_the_same(deploy):
    deployment = deploy()
    deployment.start("-c", "1")
    deployment.app().send_task("swallow")

    await_true(lambda: deployment.runs.count("start")["swallow1"], 5)
    assert deployment.runs.count("end")["swallow0"] == 1


@pytest.mark.parametrize(
    ("what", "called"),
    [
        ("fine", ["before_start fine", "on_success fine", "after_return SUCCESS"]),
        ("fail", ["before_start fail", "on_failure ValueError", "after_return FAILURE"]),
        (
            "retry",
            [
                "before_start retry",
                "on_retry KeyError",
                "before_start retry",
                "on_success retry",
                "after_return SUCCESS",
            ],
        ),
    ],
)
def test_the_handlers_of_a_task_class_are_called_as_celery_calls_them(deploy, what, called):
    deployment = deploy()
    deployment.start("-c", "1")
    deployment.app().send_task("handled", args=(what,))

    await_true(lambda: len(deployment.runs.lines()) == len(called), 5)
    assert [f"{line[2]} {line[3]}" for line in deployment.runs.lines()] == called


def test_retries_end_with_max_retries_exceeded_when_no_error_is_given(deploy):
    deployment = deploy()
    deployment.start("-c", "1")
    result = deployment.app().send_task("flaky", args=(99,))

    with pytest.raises((MaxRetriesExceededError, ValueError)):
        result.get(timeout=10)


def test_progress_is_seen_while_the_task_runs_and_the_result_after(deploy):
    deployment = deploy()
    deployment.start("-c", "1")

    assert deployment.app().send_task("progress", args=(5,)).get(timeout=5) == 5


def test_a_soft_time_limit_raises_inside_the_task(deploy):
    deployment = deploy()
    deployment.start("-c", "1")
    began = time.monotonic()

    with pytest.raises(SoftTimeLimitExceeded):
        deployment.app().send_task("soft").get(timeout=10)
    assert time.monotonic() - began < 3


def test_a_hard_time_limit_ends_the_process_and_the_worker_goes_on(deploy):
    deployment = deploy()
    node = deployment.start("-c", "1")
    app = deployment.app()
    began = time.monotonic()

    with pytest.raises(TimeLimitExceeded):
        app.send_task("hard").get(timeout=10)
    assert time.monotonic() - began < 3
    assert app.send_task("add", args=(1, 1)).get(timeout=5) == 2
    assert node.process.poll() is None


def test_a_result_that_cannot_be_serialized_fails_the_task_and_names_the_reason(deploy):
    deployment = deploy()
    deployment.start("-c", "1")

    with pytest.raises(EncodeError, match="object"):
        deployment.app().send_task("unserializable").get(timeout=5)


def test_a_task_that_exits_fails_by_itself(deploy):
    deployment = deploy()
    node = deployment.start("-c", "1")
    app = deployment.app()
    children = node.children()
    result = app.send_task("leave")
    result.get(timeout=5, propagate=False)

    assert result.state == "FAILURE"
    assert node.children() == children


def test_an_expired_message_does_not_run(deploy):
    deployment = deploy()
    app = deployment.app()
    result = app.send_task("work", args=("late",), expires=0.05)
    time.sleep(0.1)
    deployment.start("-c", "1")
    result.get(timeout=5, propagate=False)

    assert result.state == "REVOKED"
    assert "expired" in str(result.result)
    assert deployment.runs.lines() == []


def test_higher_priorities_run_first(deploy):
    deployment = deploy()
    app = deployment.app()
    for priority in (0, 3, 9, 5, 1):
        app.send_task("work", args=(priority,), priority=priority)
    deployment.start("-c", "1")
    await_true(lambda: len(deployment.runs.count("end")) == 5, 5)

    order = [line[3] for line in deployment.runs.lines() if line[2] == "start"]
    assert order == ["9", "5", "3", "1", "0"]


def test_a_countdown_waits_in_the_broker_and_runs_on_time(deploy):
    deployment = deploy()
    deployment.start("-c", "1")
    app = deployment.app()
    due = time.time() + 0.7
    app.send_task("work", args=("soon",), countdown=0.7).get(timeout=5)

    [started] = deployment.runs.moments("start", "soon")
    assert -0.01 <= started - due < 0.3


def test_of_failed_tasks_only_those_acknowledged_late_become_dead_letters(deploy):
    deployment = deploy()
    deployment.start("-c", "1")
    app = deployment.app()
    early = app.send_task("fail_early", args=("gone",))
    with pytest.raises(ValueError, match="gone"):
        early.get(timeout=5)
    late = app.send_task("fail", args=("kept",))
    with pytest.raises(ValueError, match="kept"):
        late.get(timeout=5)

    await_true(lambda: [letter.id for letter in app.broker.admin.dead()] == [late.id], 5)


def test_an_early_acknowledged_task_runs_and_returns(deploy):
    deployment = deploy()
    deployment.start("-c", "1")

    assert deployment.app().send_task("work_early", args=("x",)).get(timeout=5) == "x"


def test_log_lines_tell_the_life_of_a_task(deploy):
    deployment = deploy()
    node = deployment.start("-c", "1")
    result = deployment.app().send_task("add", args=(2, 3))
    result.get(timeout=5)

    await_true(lambda: "succeeded" in node.log, 5)
    assert f"Task add[{result.id}] received" in node.log
    assert f"Task add[{result.id}] succeeded in" in node.log


def test_a_child_that_has_run_its_share_is_replaced(deploy):
    deployment = deploy()
    deployment.start("-c", "1", "--max-tasks-per-child", "2")
    app = deployment.app()
    results = [app.send_task("work", args=(n,)) for n in range(6)]
    for result in results:
        result.get(timeout=10)

    assert len({deployment.runs.pids(n)[0] for n in range(6)}) == 3
