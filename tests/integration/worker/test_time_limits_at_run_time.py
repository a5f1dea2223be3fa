"""Time limits that are changed while the worker runs."""

from __future__ import annotations

import os
import signal

import pytest
from tests.deployment import await_true

from umbel.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded

SET = {"ok": "time limits set successfully"}


def limit(app, **limits):
    [reply] = app.control.time_limit("work", reply=True, timeout=10, **limits)
    return reply["node0@test"]


def test_new_limits_hold_in_every_process_and_in_those_that_come_later(deploy):
    deployment = deploy()
    node = deployment.start("-c", "2")
    app = deployment.app()

    assert limit(app, hard=0.2) == SET
    ended = [app.send_task("work", args=(number, 30)) for number in range(4)]
    for job in ended:  # after two of them both processes are new
        with pytest.raises(TimeLimitExceeded):
            job.get(timeout=20)

    assert limit(app, soft=0.2) == SET
    with pytest.raises(SoftTimeLimitExceeded):
        app.send_task("work", args=("soft", 30)).get(timeout=20)
    killed = node.children()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    await_true(lambda: len(set(node.children()) - set(killed)) == 2, 10)
    with pytest.raises(SoftTimeLimitExceeded):
        app.send_task("work", args=("soft", 30)).get(timeout=20)

    assert limit(app) == SET
    assert app.send_task("work", args=("free", 0.4)).get(timeout=20) == "free"


def test_new_limits_hold_in_pools_with_threads(deploy):
    deployment = deploy()
    deployment.start("-P", "threads", "-c", "2")
    app = deployment.app()
    assert limit(app, soft=0.2) == SET

    with pytest.raises(SoftTimeLimitExceeded):
        app.send_task("work", args=("soft", 1)).get(timeout=20)
