"""Which pool keeps which time limit, whatever the task does: the table of ``docs/pools.md``."""

import pytest
from tests.deployment import await_true

#: How a task keeps going, and the limits that reach it there, by pool.
EVERYTHING = {(how, limit) for how in ("sleep", "busy", "socket") for limit in ("soft", "hard")}
REACHED = {
    "prefork": EVERYTHING,
    "threads": {("busy", "soft"), ("busy", "hard")},
    "asyncio": {("busy", "soft"), ("busy", "hard")},
    "gevent": {
        (how, limit) for how in ("sleep", "socket") for limit in ("soft", "hard")
    },
    "solo": EVERYTHING,
}  # fmt: skip
SECONDS = 1.0
LIMITS = {"soft": "soft_time_limit", "hard": "time_limit"}


@pytest.fixture
def kind():
    """The broker has no part in it."""
    return "sqlite"


@pytest.mark.parametrize("pool", REACHED)
def test_a_limit_ends_a_task_at_once_where_the_pool_can_do_that(deploy, pool):
    """Where it cannot, the worker says so when it starts, or the task fails when it comes back."""
    deployment = deploy()
    node = deployment.start("-P", pool, "-c", "8", app="tests.apps.limits")
    app = deployment.app()
    waits = {
        limit: app.send_task("wait", args=(SECONDS,), **{LIMITS[limit]: 0.2}) for limit in LIMITS
    }
    ended = {}
    for alone in (False, True):  # greenlets that compute hold up the others
        sent = {
            (how, limit): app.send_task("keep_going", args=(how, SECONDS), **{LIMITS[limit]: 0.2})
            for how, limit in EVERYTHING
            if (how == "busy") == alone
        }
        ended |= {cell: result.get(timeout=30, propagate=False) for cell, result in sent.items()}

    reached = {cell for cell in EVERYTHING if "to its end" not in str(ended[cell])}
    assert reached == REACHED[pool]
    for result in waits.values():
        # A coroutine that waits is reached in every pool.
        assert result.get(timeout=30, propagate=False) != "to its end"
    if pool != "prefork":
        assert "Hard time limits" in node.log
    await_true(lambda: app.send_task("wait", args=(0.0,)).get(timeout=10) == "to its end", 10)
