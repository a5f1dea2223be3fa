"""Messages for later wait in the broker, not in workers (pains 1, 2 and 24 of Celery's users)."""

import signal
import subprocess
import sys
import time
from collections import Counter

import psutil
import pytest
from tests.deployment import ROOT, await_true


def resident(pids):
    return sum(psutil.Process(pid).memory_info().rss for pid in pids) / 1e6


def test_ten_thousand_delayed_messages_cost_a_worker_nothing_and_survive_its_restart(deploy):
    deployment = deploy()
    node = deployment.start("-c", "2")
    app = deployment.app()
    assert app.send_task("add", args=(1, 1)).get(timeout=5) == 2
    before = resident(node.children())
    for _ in range(10_000):
        app.send_task("noop", countdown=600, ignore_result=True)

    [status] = [queue for queue in app.broker.admin.queues(["celery"]) if queue.name == "celery"]
    assert (status.delayed, status.ready, status.lent) == (10_000, 0, 0)
    assert resident(node.children()) - before < 5
    node.signal_tree(signal.SIGKILL)
    deployment.start("-c", "1", name="next")
    assert app.send_task("add", args=(1, 1)).get(timeout=5) == 2
    [status] = [queue for queue in app.broker.admin.queues(["celery"]) if queue.name == "celery"]
    assert status.delayed == 10_000


def test_delayed_messages_run_on_time_and_on_all_workers(deploy):
    deployment = deploy()
    for number in range(4):
        deployment.start("-c", "1", name=f"node{number}")
    app = deployment.app()
    due = {}
    began = time.time() + 2.0
    for n in range(600):
        due[str(n)] = began + n * 0.003
        delay = due[str(n)] - time.time()
        app.send_task("work", args=(n, 0.002), countdown=delay, ignore_result=True)
    await_true(lambda: len(deployment.runs.count("end")) == 600, 20)

    lines = [line for line in deployment.runs.lines() if line[2] == "start"]
    late = sorted(line[0] - due[line[3]] for line in lines)
    assert late[0] > -0.01
    assert late[int(len(late) * 0.99)] < 0.5
    assert set(deployment.runs.count("start").values()) == {1}
    shares = Counter(line[1] for line in lines)
    assert len(shares) == 4, "every worker ran some"


def test_a_long_delay_and_a_long_task_run_once_whatever_the_visibility_timeout(deploy):
    deployment = deploy(
        broker_transport_options={
            "visibility_timeout": 1,
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
        }
    )
    deployment.start("-c", "2", name="a")
    deployment.start("-c", "2", name="b")
    app = deployment.app()
    due = time.time() + 4
    later = app.send_task("work", args=("later",), countdown=4)
    long = app.send_task("work", args=("long", 5.0))

    assert long.get(timeout=15) == "long"
    assert later.get(timeout=15) == "later"
    assert deployment.runs.count("start") == {"later": 1, "long": 1}
    [started] = deployment.runs.moments("start", "later")
    assert -0.01 < started - due < 1


CLIENT = """
import os, sys
from datetime import datetime, timedelta
from umbel import Umbel
app = Umbel("client", broker=os.environ["MARKS_BROKER"], backend=os.environ["MARKS_BACKEND"])
eta = datetime.now() + timedelta(seconds=0.5)
app.send_task("work", args=(sys.argv[1],), eta=eta)
print(eta.timestamp())
"""


@pytest.mark.parametrize(
    "zone", ["UTC", "Asia/Shanghai", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]
)
def test_a_naive_moment_means_the_senders_own_time(deploy, zone):
    deployment = deploy()
    deployment.start("-c", "1")
    told = subprocess.check_output(
        [sys.executable, "-c", CLIENT, "here"],
        env={**deployment.env, "TZ": zone},
        cwd=ROOT,
        timeout=20,
    )

    await_true(lambda: deployment.runs.count("start")["here"], 10)
    [started] = deployment.runs.moments("start", "here")
    assert -0.01 < started - float(told) < 1


def test_a_moment_in_the_repeated_hour_of_autumn_is_kept(deploy):
    """An aware datetime with ``fold`` travels with its offset."""
    from datetime import datetime
    from zoneinfo import ZoneInfo

    app = deploy().app()
    berlin = ZoneInfo("Europe/Berlin")
    year = datetime.now(berlin).year + 1
    first = datetime(year, 10, 31, 2, 30, tzinfo=berlin)
    second = first.replace(fold=1)
    app.send_task("noop", eta=first)
    app.send_task("noop", eta=second)

    dues = [message.due for message in app.broker.admin.delayed()]
    assert dues == sorted([first.timestamp(), second.timestamp()])


def test_a_delayed_message_can_be_listed_and_cancelled(deploy):
    app = deploy().app()
    result = app.send_task("noop", countdown=3600)

    assert [message.id for message in app.broker.admin.delayed()] == [result.id]
    assert app.broker.admin.cancel(result.id) == 1
    assert app.broker.admin.delayed() == []
