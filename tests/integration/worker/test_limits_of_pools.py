"""Which pool keeps which time limit, whatever the task does: the table of ``docs/pools.md``."""

import pytest

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
LIMITS = {"soft": "soft_time_limit", "hard": "time_limit"}
LIMIT = 0.2
#: Seconds that a task takes which a limit reaches, if it did not, and one which none reaches.
LONG, SHORT = 10.0, 0.6


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

    def keep_going(how, limit):
        seconds = LONG if (how, limit) in REACHED[pool] else SHORT
        return app.send_task("keep_going", args=(how, seconds), **{LIMITS[limit]: LIMIT})

    # A coroutine that waits is reached in every pool.
    waits = [app.send_task("wait", args=(LONG,), **{limit: LIMIT}) for limit in LIMITS.values()]
    ended = {}
    for alone in (False, True):  # greenlets that compute hold up the others
        sent = {
            cell: keep_going(*cell) for cell in sorted(EVERYTHING) if (cell[0] == "busy") == alone
        }
        ended |= {cell: result.get(timeout=60, propagate=False) for cell, result in sent.items()}

    assert {cell for cell in ended if "to its end" not in str(ended[cell])} == REACHED[pool]
    for result in waits:
        assert result.get(timeout=60, propagate=False) != "to its end"
    if pool != "prefork":
        assert "Hard time limits" in node.log
    assert app.send_task("wait", args=(0.0,)).get(timeout=10) == "to its end"
