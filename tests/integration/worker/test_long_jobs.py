"""A job that takes its time holds up nothing but itself."""

import os
import signal
import time

from tests.deployment import await_true


def test_what_ended_before_a_long_job_is_settled_while_it_runs(deploy):
    deployment = deploy()
    app = deployment.app()
    before = [app.send_task("add", args=(number, 1)) for number in range(60)]
    app.send_task("work", args=("long", 4.0))
    deployment.start("-c", "1")

    assert [one.get(timeout=10) for one in before] == list(range(1, 61))
    started = await_true(lambda: deployment.runs.moments("start", "long"), 5)
    assert not deployment.runs.count("end")["long"]
    assert time.time() - started[0] < 1.0


def test_what_waits_behind_a_long_job_runs_elsewhere(deploy):
    deployment = deploy()
    app = deployment.app()
    for number in range(30):  # short ones, so that many are taken at once
        app.send_task("add", args=(number, 1))
    app.send_task("work", args=("long", 8.0))
    behind = [app.send_task("add", args=(number, 2)) for number in range(5)]
    deployment.start("-c", "1")
    await_true(lambda: deployment.runs.count("start")["long"], 5)
    deployment.start("-c", "1")

    assert [one.get(timeout=5) for one in behind] == [2, 3, 4, 5, 6]
    assert not deployment.runs.count("end")["long"]


def test_a_process_at_work_leaves_the_watch_to_another_one(deploy):
    deployment = deploy()
    app = deployment.app()
    deployment.start("-c", "2")
    assert app.send_task("add", args=(0, 0)).get(timeout=10) == 0
    for turn in range(3):
        app.send_task("work", args=(turn, 1.5))
        await_true(lambda turn=turn: deployment.runs.count("start")[str(turn)], 5)
        began = time.monotonic()
        assert app.send_task("add", args=(turn, 1)).get(timeout=5) == turn + 1
        assert time.monotonic() - began < 0.5, "only a fallback would take a second"
        await_true(lambda turn=turn: deployment.runs.count("end")[str(turn)], 5)


def test_a_burst_on_an_idle_worker_is_taken_by_all_its_processes(deploy):
    deployment = deploy()
    app = deployment.app()
    node = deployment.start("-c", "6")
    assert app.send_task("add", args=(0, 0)).get(timeout=10) == 0
    await_true(lambda: len(node.children()) == 6, 5)
    for turn in range(3):
        began = time.time()
        jobs = [app.send_task("work", args=(f"{turn}-{one}", 0.8)) for one in range(6)]
        for job in jobs:
            job.get(timeout=10)
        starts = [deployment.runs.moments("start", f"{turn}-{one}")[0] for one in range(6)]
        assert max(starts) - began < 0.5, "only a look at the clock would come later"


def test_a_process_that_has_run_its_share_leaves_at_once(deploy):
    deployment = deploy()
    app = deployment.app()
    jobs = [app.send_task("add", args=(number, 1)) for number in range(8)]
    deployment.start("-c", "1", "--max-tasks-per-child", "1")
    jobs[0].get(timeout=10)
    began = time.monotonic()
    assert [job.get(timeout=10) for job in jobs] == list(range(1, 9))
    assert time.monotonic() - began < 4, "not a second for each process"


def test_a_worker_whose_work_is_done_stops_at_once(deploy):
    deployment = deploy()
    app = deployment.app()
    node = deployment.start("-c", "2")
    assert app.send_task("work", args=("one", 0.5)).get(timeout=10) == "one"
    last = app.send_task("work", args=("last", 0.5))
    await_true(lambda: deployment.runs.count("start")["last"], 5)
    node.signal(signal.SIGTERM)
    assert last.get(timeout=5) == "last"
    began = time.monotonic()
    assert node.wait() == 0
    assert time.monotonic() - began < 0.5


def test_when_the_process_that_watches_dies_another_one_watches(deploy):
    deployment = deploy()
    app = deployment.app()
    node = deployment.start("-c", "3")
    for number in range(4):
        for child in node.children()[:2]:
            os.kill(child, signal.SIGKILL)
        began = time.monotonic()
        assert app.send_task("add", args=(number, 1)).get(timeout=5) == number + 1
        assert time.monotonic() - began < 0.8
        await_true(lambda: len(node.children()) == 3, 5)


def test_a_worker_that_stops_gives_back_what_waits_while_a_long_job_ends(deploy):
    deployment = deploy()
    app = deployment.app()
    for number in range(30):
        app.send_task("add", args=(number, 1))
    app.send_task("work", args=("long", 3.0))
    for number in range(5):
        app.send_task("work", args=(f"behind {number}", 0.0))
    node = deployment.start("-c", "1")
    await_true(lambda: deployment.runs.count("start")["long"], 5)
    node.signal(signal.SIGTERM)
    await_true(lambda: app.broker.admin.queues(["celery"])[0].ready == 5, 2)

    assert not deployment.runs.count("end")["long"], "they were back before it ended"
    assert node.wait() == 0
    assert deployment.runs.count("end")["long"] == 1
