"""What is urgent runs next, also when a worker has much at hand (pain 22 of Celery's users)."""

import pytest
from tests.deployment import await_true


@pytest.mark.parametrize("before", [0, 200], ids=["just-started", "after-many"])
def test_an_urgent_task_runs_right_after_the_one_that_is_running(deploy, before):
    deployment = deploy()
    deployment.start("-c", "1")
    app = deployment.app()
    add = app.task(lambda x, y: x + y, name="add")
    for result in add.delay_many([(number, 1) for number in range(before)]):
        result.get(timeout=10)  # so that the worker takes much at once
    work = app.task(lambda _tag, _seconds: None, name="work")
    low = work.delay_many([(f"low{number}", 0.4) for number in range(4)])
    await_true(lambda: deployment.runs.count("start"), 10)
    urgent = work.apply_async(("urgent", 0.0), priority=9)

    for result in (*low, urgent):
        result.get(timeout=10)
    order = [line[3] for line in deployment.runs.lines() if line[2] == "start"]
    assert order == ["low0", "urgent", "low1", "low2", "low3"]
