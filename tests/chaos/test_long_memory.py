"""A million tasks through two processes that do not grow, and a client with 100,000 results that
nobody reads (pain 19). Ten minutes; only with CHAOS_LONG=1."""

from __future__ import annotations

import os

import pytest
from tests.chaos.conftest import QUICK
from tests.deployment import Deployment, deployment
from tests.soak import Soak

pytestmark = [
    pytest.mark.skipif(os.environ.get("CHAOS_LONG") != "1", reason="only with CHAOS_LONG=1"),
    pytest.mark.timeout(1800),
]


def test_processes_do_not_grow_over_a_million_tasks(new_store, tmp_path, figure):
    url = new_store()
    with deployment(tmp_path, url, url, **QUICK) as made:
        node = made.start("-c", "2", "-l", "CRITICAL", app="tests.apps.memory")
        soak = Soak(made.app(), node)
        soak.warm_up(100_000)
        growth = soak.growth(steps=45, step=20_000)

    figure(
        f"for each 100,000 tasks: {growth.megabytes:+.2f} MB beyond one arena for each process, "
        f"{growth.objects:+} objects"
    )
    assert growth.megabytes < 1.0
    assert growth.objects < 2_000


@pytest.mark.redis
def test_a_hundred_thousand_results_that_nobody_reads_cost_no_subscription(redis_url, tmp_path):
    app = Deployment(tmp_path, redis_url, redis_url).app()
    add = app.task(name="add")(lambda x, y: x + y)
    kept = add.delay_many((n, n) for n in range(100_000))

    assert len(kept) == 100_000
    assert app.broker.pool.call("PUBSUB", "CHANNELS") == []
