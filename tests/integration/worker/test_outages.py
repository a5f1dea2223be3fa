"""The broker goes away and comes back (pains 12, 13, 14 and 18 of Celery's users)."""

import os
import signal
import time

import pytest
from tests.deployment import Deployment, await_true

from umbel.exceptions import OperationalError
from umbel.worker.services.health import probe

pytestmark = pytest.mark.redis
QUICK = {"worker_heartbeat_interval": 0.3, "worker_heartbeat_limit": 8.0}


@pytest.fixture
def deployment(tmp_path, redis_server):
    made = Deployment(tmp_path, redis_server.url, redis_server.url, **QUICK)
    yield made
    made.end()


@pytest.mark.parametrize("pool", [("-c", "2"), ("-P", "solo")], ids=["prefork", "solo"])
@pytest.mark.parametrize("load", [0, 4, 60], ids=["idle", "busy", "full"])
def test_a_worker_carries_on_after_its_server_was_killed_and_came_back(
    deployment, redis_server, pool, load
):
    node = deployment.start(*pool)
    app = deployment.app()
    results = [app.send_task("work", args=(n, 0.05 if load > 10 else 1.5)) for n in range(load)]
    if load:
        await_true(lambda: deployment.runs.count("start"), 5)
    pid = node.pid
    redis_server.kill()
    await_true(lambda: "Lost redis" in node.log, 10)
    redis_server.start()
    back = time.monotonic()

    assert app.send_task("add", args=(2, 2)).get(timeout=20) == 4
    for result in results:
        result.get(timeout=20)
    if load == 0:
        assert time.monotonic() - back < 5
    assert node.process.poll() is None
    assert node.pid == pid
    ended = deployment.runs.count("end")
    assert set(ended) == {str(n) for n in range(load)}
    assert set(ended.values()) <= {1}, "what had ended before the outage did not run again"


def test_a_stopped_server_is_survived_as_well(deployment, redis_server):
    node = deployment.start("-c", "2")
    app = deployment.app()
    assert app.send_task("add", args=(1, 1)).get(timeout=5) == 2
    os.kill(redis_server.pid, signal.SIGSTOP)
    await_true(lambda: "Lost redis" in node.log, 25)
    os.kill(redis_server.pid, signal.SIGCONT)

    assert app.send_task("add", args=(2, 2)).get(timeout=20) == 4


def test_every_call_fails_within_its_deadline_while_the_server_is_away_and_works_after(
    deployment, redis_server
):
    deployment.start("-c", "1")
    app = deployment.app()
    assert app.send_task("add", args=(1, 1)).get(timeout=5) == 2
    redis_server.kill()
    for _ in range(10):
        began = time.monotonic()
        with pytest.raises(OperationalError, match="redis://"):
            app.send_task("add", args=(1, 1))
        assert time.monotonic() - began < 2.1
    redis_server.start()

    assert app.send_task("add", args=(2, 2)).get(timeout=10) == 4


def test_publishing_does_not_need_the_result_backend(deployment, redis_server, tmp_path):
    app = Deployment(tmp_path, redis_server.url, "redis://127.0.0.1:1/0").app()

    began = time.monotonic()
    assert app.send_task("add", args=(1, 1)).id
    assert time.monotonic() - began < 1


def test_a_worker_started_before_its_server_waits_for_it(deployment, redis_server):
    redis_server.stop()
    node = deployment.start("-c", "1", ready=False)
    await_true(lambda: "Trying again" in node.log, 10)
    assert "redis://" in node.log
    assert "Traceback" not in node.log
    redis_server.start()

    await_true(node.ready, 15)
    assert deployment.app().send_task("add", args=(1, 1)).get(timeout=5) == 2


def test_probes_tell_the_truth_during_work_and_an_outage(deployment, redis_server):
    node = deployment.start("-c", "1")
    app = deployment.app()
    app.send_task("spin", args=(2.0,))
    times = []

    def ask(path):
        began = time.monotonic()
        status = probe(node.socket, path)
        times.append(time.monotonic() - began)
        return status

    end = time.monotonic() + 2
    while time.monotonic() < end:
        assert (ask("/live"), ask("/ready")) == (200, 200)
        time.sleep(0.02)
    redis_server.kill()
    await_true(lambda: ask("/ready") == 503, 10)
    assert ask("/live") == 200
    redis_server.start()
    await_true(lambda: ask("/ready") == 200, 10)
    assert ask("/live") == 200
    times.sort()
    assert times[int(len(times) * 0.99)] < 0.05
