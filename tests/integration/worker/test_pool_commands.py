"""Other sizes, and new processes, by remote control: nobody is ended at work."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.deployment import await_true

NODE = "node0@test"
VERSION = """
from tests.apps.marks import app

@app.task(name="version")
def version():
    return {version}
"""


@pytest.fixture
def tell():
    """What the only node replies to this command."""

    def reply(app, command, **arguments):
        # More than the node needs, and it ends with the first reply.
        [said] = app.control.broadcast(
            command, arguments=arguments, reply=True, timeout=10, limit=1, destination=[NODE]
        )
        return said[NODE]

    return reply


def test_a_worker_grows_and_shrinks_while_it_works(deploy, tell):
    deployment = deploy()
    node = deployment.start("-c", "1")
    app, runs = deployment.app(), deployment.runs
    assert tell(app, "pool_grow", n=2) == {"ok": "pool will grow"}
    await_true(lambda: len(node.children()) == 3, 10)
    results = [app.send_task("work", args=(tag, 1.0)) for tag in "abc"]
    await_true(lambda: runs.count("start") == Counter("abc"), 10, "all three at once")

    # Two are told to leave while all are at work.
    assert tell(app, "pool_shrink", n=2) == {"ok": "pool will shrink"}
    assert [result.get(timeout=20) for result in results] == list("abc")
    await_true(lambda: len(node.children()) == 1, 10)
    assert tell(app, "pool_shrink", n=1) == {
        "error": "one process has to stay; 1 of 1 are too many"
    }
    assert tell(app, "pool_grow", n=100)["error"].startswith("there is room for 33 processes")
    assert tell(app, "autoscale", max=3, min=1) == {"error": "Autoscale not enabled"}
    assert "not enabled" in tell(app, "pool_restart")["error"]
    assert runs.count("start") == runs.count("end") == Counter("abc")
    assert "died" not in node.log


def test_no_task_is_lost_or_runs_twice_while_the_size_changes_all_the_time(deploy, tell):
    deployment = deploy(worker_pool_restarts=True)
    node = deployment.start("-c", "2")
    app, runs = deployment.app(), deployment.runs
    tags = [str(number) for number in range(500)]
    results = [app.send_task("work", args=(tag, 0.004)) for tag in tags]
    for by in (3, 2, 1):
        assert tell(app, "pool_grow", n=by) == {"ok": "pool will grow"}
        assert tell(app, "pool_restart") == {"ok": "reload started"}
        assert tell(app, "pool_shrink", n=by) == {"ok": "pool will shrink"}

    assert [result.get(timeout=30) for result in results] == tags
    await_true(lambda: len(node.children()) == 2, 10)
    assert runs.count("start") == runs.count("end") == Counter(tags)
    assert "died" not in node.log
    assert "taken back" not in node.log


def test_processes_are_replaced_with_new_code_and_finish_what_they_run(deploy, tell, tmp_path):
    module = Path(tmp_path) / "renewed.py"
    module.write_text(VERSION.format(version=1))
    deployment = deploy(worker_pool_restarts=True, imports=["renewed"])
    node = deployment.start("-c", "2", app="tests.apps.sizes")
    app, runs = deployment.app(), deployment.runs
    before = set(node.children())
    assert app.send_task("version").get(timeout=10) == 1
    running = app.send_task("work", args=("long", 1.0))
    await_true(lambda: runs.count("start")["long"], 10)
    module.write_text(VERSION.format(version="1 + 1"))  # another size: the cache is not believed

    reply = tell(app, "pool_restart", modules=["renewed", "missing"], reload=True)
    assert reply == {"ok": "reload started"}
    assert running.get(timeout=20) == "long"
    await_true(lambda: len(set(node.children()) - before) == 2, 10, "new processes")
    await_true(lambda: not set(node.children()) & before, 10, "and no old one")
    assert app.send_task("version").get(timeout=10) == 2
    assert runs.count("start") == Counter(["long"])
    assert "Module missing cannot be imported" in node.log
    assert "died" not in node.log


def test_bounds_of_autoscale_change_at_once(deploy, tell):
    deployment = deploy()
    node = deployment.start("--autoscale", "3,1")
    app = deployment.app()

    assert tell(app, "autoscale", max=4, min=3) == {"ok": "autoscale now max=4 min=3"}
    await_true(lambda: len(node.children()) == 3, 10)
    stats = tell(app, "stats")["autoscaler"]
    assert {name: stats[name] for name in ("max", "min", "current")} == {
        "max": 4,
        "min": 3,
        "current": 3,
    }
    assert tell(app, "autoscale", max=2, min=1) == {"ok": "autoscale now max=2 min=1"}
    await_true(lambda: len(node.children()) == 2, 10)
    assert tell(app, "pool_grow", n=1) == {
        "error": "pool_grow is not supported with autoscale. Adjust autoscale range instead."
    }


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_worker_without_processes_of_its_own_says_so(deploy, tell):
    deployment = deploy(worker_pool_restarts=True)
    deployment.start("-P", "solo")
    app = deployment.app()
    for command in ("pool_grow", "pool_shrink", "pool_restart"):
        assert tell(app, command)["error"].startswith("this worker has no processes")
