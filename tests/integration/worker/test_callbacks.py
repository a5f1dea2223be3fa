"""Callbacks and errbacks, and what becomes of messages whose tasks failed, with real processes."""

from __future__ import annotations

import os
import signal
from functools import partial

import pytest
from tests.deployment import await_true

from umbel.exceptions import EncodeError, WorkerLostError

APP = "tests.apps.linked"
SENT, KILLS = 150, 6


@pytest.fixture
def node(deploy):
    deployment = deploy()
    deployment.start("-c", "2", app=APP)
    return deployment


def told(deployment, what, task_id):
    """The tags under which ``what`` was written down for this task."""
    return [tag for _, _, one, tag, of in deployment.runs.lines() if (one, of) == (what, task_id)]


def await_told(deployment, what, task_id):
    return await_true(lambda: told(deployment, what, task_id), 20, f"{what} of {task_id}")


def test_callbacks_follow_a_success_through_retries(node):
    app = node.app()
    nested = app.signature("add", args=(1,)).set(link=app.signature("add", args=(100,)))
    result = app.send_task("flaky", (2,), link=[nested, app.signature("add", args=(10,))])

    assert result.get(timeout=20) == 2
    first, second = result.children
    assert (first.get(timeout=20), second.get(timeout=20)) == (3, 12)
    [third] = await_true(lambda: first.children, 20)
    assert third.get(timeout=20) == 103


def test_errbacks_follow_a_failure_once(node):
    app = node.app()
    errbacks = [app.signature(name) for name in ("by_id", "how", "how_async")]
    result = app.send_task("automatic", link_error=errbacks, link=app.signature("work"))

    with pytest.raises(KeyError):
        result.get(timeout=20)

    assert await_told(node, "errback", result.id) == ["by_id"]
    assert await_told(node, "how", result.id) == ["KeyError"]
    assert await_told(node, "how_async", result.id) == ["KeyError/automatic"]
    assert result.children == []


def test_errbacks_of_a_task_whose_process_is_gone_are_sent_by_the_supervisor(node):
    app = node.app()
    links = {"link_error": [app.signature("by_id"), app.signature("how")]}
    late = app.send_task("hard", **links)
    dead = app.send_task("die_once", **links)

    for result, error in ((late, "TimeLimitExceeded"), (dead, "WorkerLostError")):
        assert await_told(node, "errback", result.id) == ["by_id"]
        assert await_told(node, "how", result.id) == [error]
    with pytest.raises(WorkerLostError):
        dead.get(timeout=20)


def test_a_message_may_come_back_after_a_failure(node):
    app = node.app()
    slow = app.send_task("slow_twice")
    dying = app.send_task("die_retrying")
    failing = app.send_task("not_acked", link_error=app.signature("by_id"))

    assert dying.get(timeout=20) == 1
    with pytest.raises(ValueError, match="no"):
        failing.get(timeout=20)
    assert await_told(node, "errback", failing.id) == ["by_id"]
    assert node.runs.count("start")["not_acked"] == 3
    assert slow.get(timeout=20) == 2


def test_each_callback_is_sent_once_however_often_processes_are_killed(deploy):
    deployment = deploy(task_max_deliveries=50)
    node = deployment.start("-c", "2", app=APP)
    app = deployment.app()
    sent = [app.send_task("work", (n, 0.005), link=app.signature("follow")).id for n in range(SENT)]

    def followed():
        return {
            (of, task_id) for _, _, what, of, task_id in deployment.runs.lines() if what == "follow"
        }

    def ended(count):
        return sum(deployment.runs.count("end").values()) >= count

    for kill in range(KILLS):
        await_true(partial(ended, kill * SENT // KILLS), 30, "runs between kills")
        os.kill(await_true(node.children, 20)[0], signal.SIGKILL)
    await_true(lambda: {of for of, _ in followed()} == set(sent), 60, "every callback")

    assert len(followed()) == SENT


def test_a_generator_is_refused_with_a_word_of_advice(node):
    with pytest.raises(EncodeError, match=r"returned a generator \(several\).*return a list"):
        node.app().send_task("several").get(timeout=20)
