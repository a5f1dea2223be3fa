"""Children of a worker die all the time; the worker goes on (pains 4 and 15)."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
from tests.chaos.conftest import QUICK
from tests.deployment import Deployment, Node, await_true, deployment

SECONDS, KILL_EVERY = 30.0, 0.2
CHILDREN = 4
#: More than four children can run in the time, so that the queue never runs dry.
TASKS = 540


@pytest.mark.timeout(150)
def test_a_worker_whose_children_are_killed_at_random_keeps_its_pace_and_loses_nothing(
    new_store, tmp_path, chance, figure
):
    url = new_store()
    # So many deliveries are allowed that every task ends: dead letters have tests of their own.
    with deployment(tmp_path, url, url, **QUICK, task_max_deliveries=1000) as made:
        app = made.app()
        results = [app.send_task("work", args=(n, chance.uniform(0, 0.5))) for n in range(TASKS)]
        node = made.start("-c", str(CHILDREN), "--max-tasks-per-child", "5")
        began = time.time()
        kills = kill_at_random(node, chance, began + SECONDS)
        for result in results:
            result.get(timeout=60)

        assert set(made.runs.count("end")) == {str(n) for n in range(TASKS)}, "something was lost"
        assert node.process.poll() is None
        ends = [line[0] - began for line in made.runs.lines() if line[2] == "end"]
        first, middle, last = (
            sum(third * 10 <= moment < (third + 1) * 10 for moment in ends) for third in range(3)
        )
        figure(
            f"{kills} kills in {SECONDS:.0f} s, 0 lost, tasks per third {first}, {middle}, {last}"
        )
        assert first > 20
        assert last >= 0.8 * first
        repeated = sum(made.runs.count("end").values()) - TASKS
        assert repeated <= kills * 0.1, "only what had ended and was not settled yet runs again"


def kill_at_random(node: Node, chance: random.Random, until: float) -> int:
    kills = 0
    while time.time() < until:
        time.sleep(KILL_EVERY)
        children = node.children()
        if children:
            os.kill(chance.choice(children), signal.SIGKILL)
            kills += 1
    return kills


def test_messages_that_kill_their_process_cost_the_others_little(new_store, tmp_path, figure):
    """Each poisonous message is tried three times and is a dead letter then."""
    alone = run_beside(0, new_store(), tmp_path / "alone")
    beside = run_beside(3, new_store(), tmp_path / "beside")
    figure(f"200 tasks of 20 ms: {alone:.2f} s, beside three poisonous messages {beside:.2f} s")
    assert beside < 1.5 * alone


def run_beside(poison: int, url: str, folder: Path) -> float:
    """How long two processes need for 200 tasks when so many messages are poisonous."""
    folder.mkdir()
    with deployment(folder, url, url, **QUICK) as made:
        app = made.app()
        node = made.start("-c", "2")
        for n in range(poison):
            app.send_task("die", args=(f"poison{n}",))
        results = [app.send_task("work", args=(n, 0.02)) for n in range(200)]
        for result in results:
            result.get(timeout=20)
        moments = [line[0] for line in made.runs.lines() if not line[3].startswith("poison")]
        await_true(lambda: app.broker.admin.dead_count() == poison, 10)
        starts = made.runs.count("start")
        assert [starts[f"poison{n}"] for n in range(poison)] == [3] * poison
        twice = {tag for tag, count in starts.items() if count > 1 and not tag.startswith("poison")}
        assert twice <= just_ended(made), "only what the dead had not settled yet ran again"
        assert node.process.poll() is None
        return max(moments) - min(moments)


def just_ended(made: Deployment) -> set[str]:
    """What the same process had ended within the tenth of a second before it was poisoned."""
    lines = made.runs.lines()
    deaths = [(line[1], line[0]) for line in lines if line[3].startswith("poison")]
    return {
        line[3]
        for line in lines
        for pid, moment in deaths
        if line[2] == "end" and line[1] == pid and 0 <= moment - line[0] < 0.1
    }
