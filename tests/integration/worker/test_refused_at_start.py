"""A server that answers, but not what a worker needs: who starts one learns it at once."""

from __future__ import annotations

import pytest
from tests.deployment import Deployment, await_true
from tests.servers import RedisServer

pytestmark = pytest.mark.redis

BOTH_POOLS = pytest.mark.parametrize("pool", [("-c", "1"), ("-P", "solo")], ids=["prefork", "solo"])


@pytest.fixture
def server():
    running = RedisServer(password="geheim")
    running.start()
    yield running
    running.remove()


@pytest.fixture
def deploy(tmp_path):
    """``deploy(broker, backend)``"""
    made = []

    def make(broker, backend, **conf):
        made.append(Deployment(tmp_path, broker, backend, **conf))
        return made[-1]

    yield make
    for deployment in made:
        deployment.end()


def refused_lines(node):
    """What a worker that ended by itself had to say at last."""
    assert node.wait() == 1
    assert "Traceback" not in node.log
    assert "geheim" not in node.log
    return [line for line in node.log.splitlines() if "The worker ends" in line]


def url_of(server, user="", password="geheim", db=0):
    return f"redis://{user}:{password}@127.0.0.1:{server.port}/{db}"


@BOTH_POOLS
@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"password": "falsch"}, "does not accept this user and password: WRONGPASS"),
        ({"user": "nobody"}, "does not accept this user and password: WRONGPASS"),
        ({"db": 99}, "refused: ERR DB index is out of range"),
    ],
    ids=["password", "user", "database"],
)
def test_a_worker_that_its_broker_refuses_for_good_ends_with_one_line(
    deploy, server, pool, wrong, reason
):
    url = url_of(server, **wrong)
    node = deploy(url, "disabled").start(*pool, ready=False)

    [line] = refused_lines(node)
    assert reason in line
    assert url.replace(wrong.get("password", "geheim"), "**") in line
    assert "Trying again" not in node.log


@pytest.mark.parametrize(
    "rights",
    [
        ["~other:*", "&*", "+@all"],
        ["%R~*", "&*", "+@all"],
        ["~umbel:*", "&*", "+@all"],
        ["~*", "&*", "+@all", "-evalsha"],
    ],
    ids=["no keys", "read only", "no queues", "no scripts"],
)
def test_a_worker_without_the_permissions_that_it_needs_ends_with_one_line(deploy, server, rights):
    server.call("ACL", "SETUSER", "narrow", "on", ">geheim", *rights)
    node = deploy(url_of(server, "narrow"), "disabled").start("-c", "1", ready=False)

    [line] = refused_lines(node)
    assert "refused: NOPERM" in line


@BOTH_POOLS
def test_a_worker_that_could_never_store_a_result_takes_no_message(deploy, server, pool):
    server.call("ACL", "SETUSER", "mute", "on", ">geheim", "~*", "resetchannels", "+@all")
    deployment = deploy(url_of(server), url_of(server, "mute"))
    deployment.app().send_task("work", args=(1,))

    [line] = refused_lines(deployment.start(*pool, ready=False))

    assert "no permissions to access one of the channels" in line
    assert "could not store a result" in line
    assert deployment.runs.lines() == []


def test_a_worker_whose_tasks_have_no_results_does_without_the_result_backend(deploy, server):
    deployment = deploy(url_of(server), url_of(server, db=99))
    node = deployment.start("-c", "1", app="tests.apps.silent")

    deployment.app().send_task("silent")
    await_true(lambda: deployment.runs.count("start"), 5)
    assert "DB index is out of range. Tasks will wait for it" in node.log


def test_a_server_that_is_full_at_the_start_is_waited_for(deploy, server):
    deployment = deploy(url_of(server), url_of(server))
    server.call("CONFIG", "SET", "maxmemory", "1")
    node = deployment.start("-c", "1", ready=False)
    await_true(lambda: "OOM" in node.log, 10)
    server.call("CONFIG", "SET", "maxmemory", "0")

    await_true(node.ready, 15)
    assert deployment.app().send_task("add", args=(1, 1)).get(timeout=5) == 2


def test_a_running_worker_outlives_a_changed_password(deploy, server):
    """A password is rotated: whoever works goes on until it is told to stop."""
    deployment = deploy(url_of(server), url_of(server), worker_heartbeat_interval=0.3)
    node = deployment.start("-c", "1")
    server.call("CONFIG", "SET", "requirepass", "neu")
    server.password = "neu"
    server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await_true(lambda: "does not accept this user and password" in node.log, 10)
    server.call("CONFIG", "SET", "requirepass", "geheim")
    server.password = "geheim"

    assert deployment.app().send_task("add", args=(2, 2)).get(timeout=20) == 4
    assert node.process.poll() is None


def test_nothing_of_the_attempt_is_left(deploy, server):
    deployment = deploy(url_of(server), url_of(server))
    deployment.start("-P", "solo")

    assert server.call("ZCARD", "umbel:consumers") == 1
    assert server.call("KEYS", "celery-task-meta-*") == []
