"""Children that die are replaced: at once when they were at work, with growing pauses otherwise."""

import time

from tests.deployment import await_true


def test_a_child_that_dies_young_but_at_work_is_replaced_at_once(deploy):
    """Seven deaths in a row; with the pauses of a bad start this would take over ten seconds."""
    deployment = deploy(task_max_deliveries=8)
    deployment.start("-c", "1")
    app = deployment.app()
    app.send_task("die", args=("poison",))
    began = time.monotonic()
    await_true(lambda: deployment.runs.count("start")["poison"] == 8, 6)

    assert app.send_task("add", args=(1, 1)).get(timeout=5) == 2
    assert time.monotonic() - began < 6
