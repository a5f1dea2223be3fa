"""Nothing acknowledged is lost, whatever dies."""

import os
import signal
import time
from pathlib import Path

import pytest
from tests.deployment import await_true

from umbel.exceptions import WorkerLostError


def test_a_task_whose_process_is_killed_runs_again_at_once_and_its_neighbours_do_not_notice(deploy):
    deployment = deploy()
    node = deployment.start("-c", "2")
    app = deployment.app()
    neighbour = app.send_task("work", args=("neighbour", 2.0))
    victim = app.send_task("work", args=("victim", 0.8))
    await_true(lambda: len(deployment.runs.count("start")) == 2, 5)
    killed_at = time.time()
    os.kill(deployment.runs.pids("victim")[0], signal.SIGKILL)

    assert victim.get(timeout=5) == "victim"
    assert neighbour.get(timeout=5) == "neighbour"
    again = deployment.runs.moments("start", "victim")[1]
    assert again - killed_at < 1.0
    assert deployment.runs.count("start")["neighbour"] == 1
    assert node.process.poll() is None


def test_another_worker_takes_over_when_a_whole_worker_is_killed(deploy):
    deployment = deploy()
    first = deployment.start("-c", "2", name="first")
    app = deployment.app()
    results = [app.send_task("work", args=(n, 0.5)) for n in range(6)]
    await_true(lambda: len(deployment.runs.count("start")) >= 2, 5)
    first.signal_tree(signal.SIGKILL)
    began = time.monotonic()
    deployment.start("-c", "2", name="second")

    for result in results:
        result.get(timeout=15)
    assert time.monotonic() - began < 8  # heartbeat limit 2 s, two looks, the work itself
    assert set(deployment.runs.count("end")) == {str(n) for n in range(6)}


def test_a_stop_in_the_middle_of_a_thousand_tasks_loses_and_repeats_nothing(deploy):
    deployment = deploy()
    app = deployment.app()
    for n in range(1000):
        app.send_task("work", args=(n,), ignore_result=True)
    first = deployment.start("-c", "2", name="first")
    await_true(lambda: len(deployment.runs.count("end")) > 100, 10)
    first.signal(signal.SIGTERM)

    assert first.wait() == 0
    done = deployment.runs.count("end")
    assert 0 < len(done) < 1000
    deployment.start("-c", "2", name="second")
    await_true(lambda: len(deployment.runs.count("end")) == 1000, 20)
    assert set(deployment.runs.count("start").values()) == {1}


def test_a_task_that_kills_its_process_every_time_becomes_a_dead_letter(deploy):
    deployment = deploy()
    deployment.start("-c", "2")
    app = deployment.app()
    result = app.send_task("die", args=("poison",))

    with pytest.raises(WorkerLostError, match="3 times"):
        result.get(timeout=15)
    assert deployment.runs.count("start")["poison"] == 3
    listed = deployment.run("dead", "list")
    assert result.id in listed.stdout
    assert "WorkerLostError" in listed.stdout

    assert deployment.run("dead", "retry", result.id).returncode == 0
    await_true(lambda: deployment.runs.count("start")["poison"] == 6, 15)


def test_a_task_that_kills_its_process_once_completes(deploy, tmp_path):
    deployment = deploy()
    deployment.start("-c", "1")
    result = deployment.app().send_task("die", args=("once", str(tmp_path / "flag")))

    assert result.get(timeout=10) == "once"


def test_a_frozen_worker_that_wakes_up_cannot_overwrite_the_second_run(deploy):
    deployment = deploy()
    first = deployment.start("-c", "1", name="first")
    app = deployment.app()
    result = app.send_task("work", args=("slow", 1.0))
    await_true(lambda: deployment.runs.count("start")["slow"] == 1, 5)
    for pid in (first.pid, *first.children()):
        os.kill(pid, signal.SIGSTOP)
    deployment.start("-c", "1", name="second")

    result.get(timeout=15)
    assert deployment.runs.count("start")["slow"] == 2
    stored = app.backend.load(result.id)
    for pid in (*first.children(), first.pid):
        os.kill(pid, signal.SIGCONT)
    await_true(lambda: deployment.runs.count("end")["slow"] == 2, 5, "the woken run ends, too")
    await_true(lambda: "its outcome was not stored" in first.log, 5)
    assert app.backend.load(result.id) == stored
    assert app.send_task("add", args=(1, 2)).get(timeout=5) == 3


def test_children_whose_supervisor_dies_finish_and_leave(deploy):
    deployment = deploy()
    node = deployment.start("-c", "1")
    app = deployment.app()
    result = app.send_task("work", args=("last", 3.0))
    await_true(lambda: deployment.runs.count("start")["last"] == 1, 5)
    [child] = node.children()
    node.signal(signal.SIGKILL)

    assert result.get(timeout=10) == "last"
    await_true(lambda: not Path(f"/proc/{child}").exists(), 5, "the orphan has left")
    assert deployment.runs.count("start")["last"] == 1


def test_a_signal_to_the_whole_group_does_not_kill_running_tasks(deploy):
    deployment = deploy()
    node = deployment.start("-c", "2")
    app = deployment.app()
    results = [app.send_task("work", args=(n, 1.0)) for n in range(2)]
    await_true(lambda: len(deployment.runs.count("start")) == 2, 5)
    node.signal_tree(signal.SIGTERM)

    assert node.wait() == 0
    assert [result.get(timeout=5) for result in results] == [0, 1]


def test_work_beyond_the_drain_timeout_goes_back_uncounted(deploy):
    deployment = deploy(worker_drain_timeout=0.5)
    node = deployment.start("-c", "1", name="first")
    app = deployment.app()
    result = app.send_task("work", args=("long", 3.0))
    await_true(lambda: deployment.runs.count("start")["long"] == 1, 5)
    node.signal(signal.SIGTERM)

    assert node.wait() == 0
    place = app.broker.admin.locate(result.id)
    assert place.where == "ready"
    assert place.message.deliveries == 0
    deployment.start("-c", "1", name="second")
    assert result.get(timeout=10) == "long"


@pytest.mark.parametrize("drain", [2.5, 0.3], ids=["enough time", "too little time"])
def test_a_container_that_is_stopped_loses_nothing_and_fails_nothing(deploy, drain):
    """The whole group gets a TERM, and a KILL later, as containers and service managers do it."""
    deployment = deploy(worker_drain_timeout=drain)
    first = deployment.start("-c", "2", name="first")
    app = deployment.app()
    results = [app.send_task("work", args=(n, 1.0)) for n in range(20)]
    await_true(lambda: len(deployment.runs.count("start")) == 2, 5)
    first.signal_tree(signal.SIGTERM)
    assert first.wait(within=3) == 0
    first.end()
    deployment.start("-c", "4", name="second")

    assert [result.get(timeout=20) for result in results] == list(range(20))
    assert set(deployment.runs.count("end").values()) == {1}
    again = [tag for tag, count in deployment.runs.count("start").items() if count > 1]
    assert len(again) == (0 if drain > 1 else 2), "only what was cut short runs again"
    assert app.broker.admin.dead_count() == 0


def test_a_second_signal_stops_at_once(deploy):
    deployment = deploy()
    node = deployment.start("-c", "1")
    app = deployment.app()
    result = app.send_task("work", args=("long", 30.0))
    await_true(lambda: deployment.runs.count("start")["long"] == 1, 5)
    node.signal(signal.SIGTERM)
    await_true(lambda: "Stopping" in node.log, 5)
    node.signal(signal.SIGTERM)

    assert node.wait(within=5) == 0
    assert app.broker.admin.locate(result.id).where == "ready"


def test_a_long_task_does_not_keep_short_ones_waiting_behind_it(deploy):
    deployment = deploy()
    deployment.start("-c", "1", name="first")
    deployment.start("-c", "1", name="second")
    app = deployment.app()
    app.send_task("work", args=("long", 4.0))
    await_true(lambda: deployment.runs.count("start")["long"] == 1, 5)
    results = [app.send_task("work", args=(n, 0.01)) for n in range(7)]

    began = time.monotonic()
    for result in results:
        result.get(timeout=5)
    assert time.monotonic() - began < 1.5
