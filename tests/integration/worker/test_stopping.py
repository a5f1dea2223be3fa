"""What the signals mean: warm, soft and cold, and the stacks of a worker that seems to hang."""

import os
import signal
import time

import pytest
from tests.deployment import Deployment, await_true


@pytest.fixture(params=["prefork", "solo"])
def pool(request):
    return request.param


@pytest.fixture
def deploy_here(tmp_path):
    made = []

    def make(**conf):
        url = f"sqlite:///{tmp_path}/umbel.sqlite3"
        made.append(Deployment(tmp_path, url, url, **conf))
        return made[-1]

    yield make
    for deployment in made:
        deployment.end()


def started(deployment, pool, seconds):
    """A worker that runs one task of this length; (node, app, result)."""
    node = deployment.start("-c", "1", "-P", pool)
    app = deployment.app()
    result = app.send_task("work", args=("it", seconds))
    await_true(lambda: deployment.runs.count("start")["it"], 10)
    return node, app, result


@pytest.mark.parametrize("signals", [["SIGQUIT"], ["SIGTERM", "SIGQUIT"]], ids="+".join)
def test_a_soft_shutdown_lets_what_runs_finish(deploy_here, pool, signals):
    deployment = deploy_here(worker_soft_shutdown_timeout=10)
    node, _app, result = started(deployment, pool, 0.5)
    for name in signals:
        node.signal(signal.Signals[name])

    assert node.wait(9) == 0
    assert result.get(timeout=5) == "it"


def test_what_a_soft_shutdown_does_not_finish_goes_back_uncounted(deploy_here, pool):
    deployment = deploy_here(worker_soft_shutdown_timeout=0.5)
    node, app, result = started(deployment, pool, 60)
    began = time.monotonic()
    node.signal(signal.SIGQUIT)

    assert node.wait(10) == 0
    assert time.monotonic() - began >= 0.5
    place = app.broker.admin.locate(result.id)
    assert (place.where, place.message.deliveries) == ("ready", 0)


def test_whoever_asks_twice_in_a_soft_shutdown_gets_a_cold_one(deploy_here, pool):
    deployment = deploy_here(worker_soft_shutdown_timeout=60)
    node, app, result = started(deployment, pool, 60)
    node.signal(signal.SIGQUIT)
    if pool == "prefork":
        await_true(lambda: "Soft shutdown" in node.log, 5)
    time.sleep(0.3)
    assert node.process.poll() is None
    node.signal(signal.SIGQUIT)

    assert node.wait(10) == 0
    assert app.broker.admin.locate(result.id).where == "ready"


@pytest.mark.parametrize(("on_idle", "soft"), [(False, False), (True, True)])
def test_an_idle_worker_is_shut_down_softly_only_if_it_is_told_to(deploy_here, on_idle, soft):
    deployment = deploy_here(
        worker_soft_shutdown_timeout=5, worker_enable_soft_shutdown_on_idle=on_idle
    )
    node = deployment.start("-c", "1")
    node.signal(signal.SIGQUIT)

    assert node.wait(5) == 0
    assert ("Soft shutdown" in node.log) is soft


def test_term_means_quit_where_the_platform_can_send_nothing_else(deploy_here, pool, monkeypatch):
    monkeypatch.setenv("REMAP_SIGTERM", "SIGQUIT")
    deployment = deploy_here()
    node, app, result = started(deployment, pool, 60)
    node.signal(signal.SIGTERM)

    assert node.wait(10) == 0
    assert app.broker.admin.locate(result.id).where == "ready"


def test_the_supervisor_logs_its_stacks_and_goes_on(deploy_here):
    deployment = deploy_here()
    node = deployment.start("-c", "1")
    node.signal(signal.SIGUSR1)
    await_true(lambda: "Threads of the supervisor" in node.log, 5)

    assert "MainThread" in node.log
    assert "steward" in node.log
    assert deployment.app().send_task("add", args=(1, 2)).get(timeout=10) == 3


def test_a_process_that_works_writes_its_stacks_and_goes_on(deploy_here, pool):
    deployment = deploy_here()
    node, _app, result = started(deployment, pool, 1)
    child = node.children()[0] if pool == "prefork" else node.pid
    os.kill(child, signal.SIGUSR2)
    await_true(lambda: "in work" in node.log, 5)

    assert result.get(timeout=10) == "it"
