"""Two real nodes are asked and told, in Python and from the command line, on each kind of store."""

from __future__ import annotations

import json
import signal
import time

import pytest
from tests.deployment import await_true

from umbel.exceptions import NodeNotFound

ONE, TWO = "one@test", "two@test"
#: A timeout that only a fault of ours reaches.
LONG = 30.0


@pytest.fixture
def nodes(deploy):
    """The deployment, with two workers that listen."""
    deployment = deploy(worker_heartbeat_limit=30.0)  # nobody is to be declared dead here
    for name in ("one", "two"):
        deployment.start("-c", "1", name=name, app="tests.apps.steered", ready=False)
    for node in deployment.nodes:
        await_true(node.ready, 20, "the worker is ready")
    everybody(deployment.app().control.inspect(timeout=1).ping)
    return deployment


def everybody(ask):
    """What both nodes say, as soon as both do."""
    return await_true(lambda: (replies := ask()) and len(replies) == 2 and replies, 15)


def test_every_question_is_answered_by_every_node(nodes):
    app = nodes.app()
    inspect = app.control.inspect(timeout=LONG)
    running = app.send_task("work", args=("running", 60))
    await_true(lambda: nodes.runs.count("start")["running"], 15)
    delayed = app.send_task("work", args=("later",), countdown=600, priority=3)
    app.control.revoke("revoked-long-ago")

    busy, idle = shape_of_active(inspect, running, nodes.runs.pids("running"))
    found = inspect.query_task(running.id, "unknown")
    assert found[busy][running.id][0] == "active"
    assert found[busy][running.id][1]["id"] == running.id
    assert found[idle] == {}
    assert everybody(inspect.reserved) == {ONE: [], TWO: []}
    for [waiting] in everybody(inspect.scheduled).values():
        assert (waiting["request"]["id"], waiting["priority"]) == (delayed.id, 3)
        assert waiting["eta"]
    assert everybody(inspect.revoked) == {ONE: ["revoked-long-ago"], TWO: ["revoked-long-ago"]}
    for names in everybody(inspect.registered).values():
        assert "add" in names
    for names in everybody(lambda: inspect.registered("max_retries")).values():
        assert "add [max_retries=3]" in names
    for [queue] in everybody(inspect.active_queues).values():
        assert (queue["name"], queue["routing_key"]) == ("celery", "celery")
    stats = everybody(inspect.stats)
    assert stats[busy]["pool"]["max-concurrency"] == 1
    assert stats[busy]["pool"]["processes"] == nodes.runs.pids("running")
    assert {stats[node]["pid"] for node in (ONE, TWO)} == {node.pid for node in nodes.nodes}


def shape_of_active(inspect, running, pids):
    """Checks it; the node that works, and the other one."""
    [(busy, [task])] = [(node, told) for node, told in everybody(inspect.active).items() if told]
    assert task["id"] == running.id
    assert (task["name"], list(task["args"]), task["kwargs"]) == ("work", ["running", 60], {})
    assert task["hostname"] == busy
    assert task["worker_pid"] in pids
    assert task["delivery_info"]["routing_key"] == "celery"
    assert abs(task["time_start"] - time.time()) < 120
    return busy, TWO if busy == ONE else ONE


def test_a_node_tells_what_it_is(nodes):
    inspect = nodes.app().control.inspect(timeout=LONG)
    for report in everybody(inspect.report).values():
        assert "umbel" in report["ok"]
    for conf in everybody(inspect.conf).values():
        assert conf["broker_url"]
        assert "task_always_eager" not in conf
    assert "task_always_eager" in inspect.conf(with_defaults=True)[ONE]
    assert isinstance(inspect.clock()[ONE]["clock"], int)
    assert sum(map(float, inspect.memsample()[ONE].values())) > 1
    assert inspect.hello("somebody@else")[ONE].keys() == {"revoked", "clock"}
    assert everybody(lambda: inspect.request("mood")) == {ONE: "good", TWO: "good"}
    unknown = everybody(lambda: inspect.request("moood"))
    assert "did you mean 'mood'" in unknown[ONE]["error"]


def test_commands_reach_the_nodes_they_are_for_and_no_others(nodes):
    app = nodes.app()
    control, inspect = app.control, app.control.inspect(timeout=LONG)
    began = time.monotonic()
    told = control.broadcast("cheer", {"mood": "fine"}, [TWO], reply=True, timeout=LONG)
    assert told == [{TWO: {"ok": "two@test feels fine"}}]
    control.broadcast("cheer", {"mood": "great"}, pattern="one@*", reply=True, timeout=LONG)
    assert everybody(lambda: inspect.request("mood")) == {ONE: "great", TWO: "fine"}
    only = control.inspect(timeout=LONG, pattern="t.o@", matcher="pcre").ping()
    assert only == {TWO: {"ok": "pong"}}
    assert time.monotonic() - began < LONG

    with pytest.raises(NodeNotFound, match="No node is named 'on@test'; did you mean 'one@test'"):
        control.shutdown(destination=["on@test"])
    assert everybody(inspect.ping)


def test_a_node_that_was_killed_is_waited_for_no_longer_than_the_timeout(nodes):
    inspect = nodes.app().control.inspect(timeout=1.0)
    nodes.nodes[0].signal_tree(signal.SIGKILL)
    nodes.nodes[0].wait()
    began = time.monotonic()
    assert inspect.ping() == {TWO: {"ok": "pong"}}
    # On a machine that is busy everything but the wait itself takes longer.
    assert time.monotonic() - began < 6


def test_the_command_line_asks_and_tells(nodes):
    def umbel(*words):
        done = nodes.run(*words, app="tests.apps.steered")
        assert "Traceback" not in done.stderr
        return done

    done = umbel("inspect", "ping", "-t", "20")
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        done.stdout == "->  one@test: OK\n    pong\n->  two@test: OK\n    pong\n\n2 nodes online.\n"
    )
    done = umbel("control", "cheer", "great", "-d", TWO, "-j", "-t", "20")
    assert json.loads(done.stdout) == {TWO: {"ok": "two@test feels great"}}
    done = umbel("status", "-d", "on@test", "--ping", "-t", "1")
    assert (done.returncode, done.stderr) == (
        69,
        "Error: No node is named 'on@test'; did you mean 'one@test'?\n",
    )
