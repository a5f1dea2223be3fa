"""A worker without a supervisor has to stop by itself, whatever its own thread is doing."""

import json
import signal
import time

import pytest
from tests.deployment import Deployment, await_true


@pytest.fixture
def start(deploy):
    """``start()``: a solo worker with stubborn tasks; (deployment, node, app)."""

    def start(**conf):
        deployment = deploy(**conf)
        node = deployment.start("-P", "solo", app="tests.apps.stubborn")
        return deployment, node, deployment.app()

    return start


def test_a_cold_stop_ends_a_handler_too_and_its_message_goes_back(start):
    deployment, node, app = start()
    result = app.send_task("slow_handler")
    await_true(lambda: deployment.runs.count("on_success")["slow"], 10)
    node.signal(signal.SIGQUIT)

    assert node.wait(within=5) == 0
    place = app.broker.admin.locate(result.id)
    assert (place.where, place.message.deliveries) == ("ready", 0)
    assert result.state == "PENDING"


def test_a_task_that_swallows_the_stop_is_the_last_one(start):
    deployment, node, app = start()
    app.send_task("swallow_exit")
    later = app.send_task("work", args=("later",))
    await_true(lambda: deployment.runs.count("start")["swallow"], 10)
    node.signal(signal.SIGQUIT)

    assert node.wait(within=10) == 0
    assert deployment.runs.count("swallowed")["swallow"] == 1
    assert not deployment.runs.count("start")["later"]
    assert app.broker.admin.locate(later.id).where == "ready"


@pytest.mark.parametrize(
    "signals", [["SIGQUIT"], ["SIGTERM"], ["SIGTERM", "SIGTERM"], ["SIGINT"]], ids="+".join
)
def test_a_worker_that_is_stopped_while_it_starts_leaves_in_peace(deploy, signals, monkeypatch):
    monkeypatch.setenv("STUBBORN_SIGNALS", json.dumps(signals))
    node = deploy().start("-P", "solo", app="tests.apps.stubborn", ready=False)

    assert node.wait() == 0
    assert "Traceback" not in node.log


@pytest.mark.redis
def test_a_worker_that_is_told_to_stop_again_while_it_leaves_goes_on_leaving(
    tmp_path, redis_server
):
    url = f"{redis_server.url}?socket_timeout=2"
    deployment = Deployment(tmp_path, url, url)
    try:
        node = deployment.start("-P", "solo", app="tests.apps.stubborn")
        app = deployment.app()
        result = app.send_task("slow_handler")
        await_true(lambda: deployment.runs.count("on_success")["slow"], 10)
        redis_server.freeze()
        node.signal(signal.SIGQUIT)
        await_true(lambda: "Stopping" in node.log, 5, "it leaves, and waits for the server")
        node.signal(signal.SIGTERM)
        node.signal(signal.SIGQUIT)
        time.sleep(0.3)  # whatever the signals do, they do it now
        redis_server.thaw()

        assert node.wait() == 0
        assert "Traceback" not in node.log
        assert app.broker.admin.locate(result.id).where == "ready"
    finally:
        redis_server.thaw()
        deployment.end()


def test_a_copy_of_a_solo_worker_that_is_ended_does_not_end_the_worker(start):
    _deployment, node, app = start()

    assert app.send_task("terminate_a_copy").get(timeout=10) == -signal.SIGTERM
    assert app.send_task("add", args=(1, 1)).get(timeout=10) == 2
    assert node.process.poll() is None
