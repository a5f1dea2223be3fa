"""``--autoscale``: more processes under load, less afterwards, and nobody is ended at work
(pain 45 of Celery's users)."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from tests.deployment import await_true

LEAST, MOST = 1, 4
#: Seconds from the first message to the most processes, as promised in one wave of two, for the
#: machine may be busy with other things; and how long a test waits.
UP_WITHIN, PATIENCE = 5.0, 40.0


def test_a_square_wave_of_work_is_followed_up_and_down_and_nothing_is_lost(deploy):
    deployment = deploy()
    node = deployment.start("--autoscale", f"{MOST},{LEAST}", "--autoscale-keepalive", "1")
    app, runs = deployment.app(), deployment.runs
    assert len(node.children()) == LEAST
    sent, ups = [], []
    for wave in range(2):
        tags = [f"{wave}-{number}" for number in range(40)]
        began = time.monotonic()
        results = [app.send_task("work", args=(tag, 0.1)) for tag in tags]
        sent += tags
        await_true(lambda: len(node.children()) == MOST, PATIENCE, "as many as it may")
        ups.append(time.monotonic() - began)
        # One that goes on while the others leave: whoever has it is not asked to leave first.
        long = app.send_task("work", args=(f"long{wave}", 1.5))
        sent.append(f"long{wave}")

        assert [result.get(timeout=30) for result in results] == tags
        assert long.get(timeout=30) == f"long{wave}"
        await_true(lambda: len(node.children()) == LEAST, PATIENCE, "as few as it may")

    assert min(ups) < UP_WITHIN
    assert runs.count("start") == runs.count("end") == Counter(sent)
    assert "died" not in node.log
    assert "taken back" not in node.log


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("-P", "threads", "--autoscale", "4,1"), "--autoscale is about processes"),
        (("-P", "solo", "--autoscale", "4,1"), "--autoscale is about processes"),
        (("--autoscale", "many"), "is not MAX,MIN"),
        (("--autoscale", "3,2,1"), "is not MAX,MIN"),
        (("--autoscale", "0"), "is not MAX,MIN"),
    ],
)
def test_what_cannot_be_scaled_is_refused_at_the_start(deploy, arguments, why):
    done = deploy().run("worker", *arguments)

    assert done.returncode != 0
    assert why in done.stderr + done.stdout
