"""Where is my task? (pain 29 of Celery's users)"""

import signal
import time

import pytest
from tests.deployment import await_true

from umbel.exceptions import TaskRevokedError


def test_never_sent_waiting_expired_and_purged_are_four_answers(deploy):
    deployment = deploy()
    app = deployment.app()
    expired = app.send_task("work", args=("e",), expires=0.05)
    time.sleep(0.1)
    node = deployment.start("-c", "1")
    await_true(lambda: expired.state == "REVOKED", 10)
    node.signal(signal.SIGTERM)
    node.wait()
    purged = app.send_task("work", args=("p",))
    assert deployment.run("purge", "-f").stdout.startswith("Purged 1 message")
    waiting = app.send_task("work", args=("w",))
    unknown = app.AsyncResult("never-sent")

    assert unknown.state == "PENDING"
    assert unknown.locate() is None
    assert not unknown.exists()
    assert waiting.locate().where == "ready"
    with pytest.raises(TaskRevokedError, match="expired"):
        expired.get(timeout=5)
    with pytest.raises(TaskRevokedError, match="purged"):
        purged.get(timeout=5)
    answers = [deployment.run("result", r.id).stdout for r in (waiting, expired, purged)]
    assert len(set(answers)) == 3
    assert deployment.run("result", "never-sent").returncode == 1


def test_waiting_for_a_task_that_nobody_sent_can_raise_instead(deploy):
    app = deploy().app()

    began = time.monotonic()
    with pytest.raises(LookupError):
        app.AsyncResult("never-sent").get(timeout=10, unknown="raise")
    assert time.monotonic() - began < 5
