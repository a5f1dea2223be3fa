"""Many messages for later, on Redis: workers do not hoard them, share them, and are punctual
(pain 2)."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter

import psutil
import pytest
from tests.chaos.conftest import QUICK
from tests.deployment import Deployment, Node, await_true, deployment

pytestmark = [pytest.mark.redis, pytest.mark.timeout(180)]

#: Attempts at a figure that other programs on the machine spoil.
ATTEMPTS = 3


def test_two_hundred_thousand_delayed_messages_cost_the_workers_no_memory(
    own_redis, tmp_path, figure
):
    count = 200_000
    with deployment(tmp_path, own_redis.url, own_redis.url, **QUICK) as made:
        nodes = [made.start("-c", "2") for _ in range(2)]
        app = made.app()
        noop = app.task(name="noop", ignore_result=True)(lambda *_arguments: None)
        settle(app)
        before = [resident(node) for node in nodes]
        began = time.monotonic()
        noop.apply_async_many((((n,), {}) for n in range(count)), countdown=3600)
        sent = time.monotonic() - began
        assert delayed(app) == (count, 0, 0)
        settle(app)
        growth = [after - start for after, start in zip(map(resident, nodes), before, strict=True)]
        figure(
            f"{count} sent in {sent:.1f} s; workers grew by {', '.join(f'{mb:+.1f} MB' for mb in growth)}"
        )
        assert max(growth) < 5

        os.killpg(nodes[0].pid, signal.SIGKILL)
        settle(app)
        assert delayed(app) == (count, 0, 0)


def settle(app) -> None:
    """Let every process look at the queues a few times."""
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        assert app.send_task("add", args=(1, 1)).get(timeout=5) == 2


def resident(node: Node) -> float:
    pids = [node.pid, *node.children()]
    return sum(psutil.Process(pid).memory_info().rss for pid in pids) / 1e6


def delayed(app) -> tuple[int, int, int]:
    [status] = [one for one in app.broker.admin.queues(["celery"]) if one.name == "celery"]
    return status.delayed, status.ready, status.lent


def test_messages_that_come_due_at_one_moment_are_shared_by_all_workers(
    own_redis, tmp_path, figure
):
    count, later = 2000, 10.0
    for attempt in range(1, ATTEMPTS + 1):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        own_redis.call("FLUSHALL")
        with deployment(folder, own_redis.url, own_redis.url, **QUICK) as made:
            for number in range(4):
                made.start("-c", "1", "-l", "ERROR", name=f"node{number}")
            work = made.app().task(name="work", ignore_result=True)(lambda *_arguments: None)
            due = time.time() + later
            work.apply_async_many((((n,), {}) for n in range(count)), countdown=later)
            sent = time.time() + later - due
            await_true(lambda made=made: len(made.runs.count("end")) == count, later + 20)
            starts = [line for line in made.runs.lines() if line[2] == "start"]
            shares = sorted(Counter(line[1] for line in starts).values())
        assert set(Counter(line[3] for line in starts).values()) == {1}
        late = sorted(line[0] - due for line in starts)
        assert late[0] > -0.01
        percent = [round(100 * share / count) for share in shares]
        figure(
            f"attempt {attempt}: shares {percent} %, late p50 {half(late):.3f} s, "
            f"p99 {most(late):.3f} s (sending took {sent:.3f} s)"
        )
        if len(shares) == 4 and 15 <= percent[0] <= percent[-1] <= 35 and most(late) < 0.5:
            return
    pytest.fail("not shared fairly, or late; see the figures")


def test_ten_thousand_messages_run_within_a_tenth_of_a_second_of_their_moment(
    own_redis, tmp_path, figure
):
    """Spread over five seconds. Other programs on the machine spoil the figure: three attempts."""
    best = float("inf")
    for attempt in range(1, ATTEMPTS + 1):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        own_redis.call("FLUSHALL")
        with deployment(folder, own_redis.url, own_redis.url, **QUICK) as made:
            late = lateness(made, 10_000, 5.0)
        best = min(best, most(late))
        figure(
            f"attempt {attempt}: late p50 {1000 * half(late):.1f} ms, p99 {1000 * most(late):.1f} ms, "
            f"most {1000 * late[-1]:.1f} ms"
        )
        if best < 0.1:
            return
    assert best < 0.1


def lateness(made: Deployment, count: int, seconds: float) -> list[float]:
    """Of so many messages, spread over so many seconds, in order."""
    made.start("-c", "2", "-l", "ERROR")
    work = made.app().task(name="work", ignore_result=True)(lambda *_arguments: None)
    due = {}
    first = time.time() + 6.0
    for n in range(count):
        moment = first + seconds * n / count
        due[str(n)] = moment
        work.apply_async((n,), countdown=moment - time.time())
    assert time.time() < first, "all were sent before the first came due"
    await_true(lambda: time.time() > first + seconds, 30)
    await_true(lambda: len(made.runs.count("end")) == count, 20)
    starts = [line for line in made.runs.lines() if line[2] == "start"]
    assert set(Counter(line[3] for line in starts).values()) == {1}
    late = sorted(line[0] - due[line[3]] for line in starts)
    assert late[0] > -0.01, "none ran early"
    return late


def half(late: list[float]) -> float:
    return late[len(late) // 2]


def most(late: list[float]) -> float:
    """The 99th percentile."""
    return late[int(len(late) * 0.99)]
