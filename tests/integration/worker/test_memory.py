"""Neither workers nor clients grow (pain 19 of Celery's users)."""

from __future__ import annotations

import pytest
from tests.deployment import Deployment
from tests.soak import Soak

WARM_UP, STEPS, STEP = 30_000, 12, 5_000


@pytest.mark.timeout(180)
def test_processes_that_run_tasks_do_not_grow(deploy):
    deployment = deploy()
    node = deployment.start("-c", "2", "-l", "CRITICAL", app="tests.apps.memory")
    soak = Soak(deployment.app(), node)
    soak.warm_up(WARM_UP)

    growth = soak.growth(STEPS, STEP)
    assert growth.objects < 2_000, "objects for each 100,000 tasks"
    # So few tasks do not tell less from the allocator's moods on a busy machine. A message that is
    # not forgotten is 100 megabytes; tests/chaos/test_long_memory.py looks closer.
    assert growth.megabytes < 8.0, "megabytes for each 100,000 tasks"


@pytest.mark.redis
def test_results_that_nobody_reads_cost_no_subscription_and_no_connection(redis_url, tmp_path):
    """Nothing is kept for a result until somebody waits for it."""
    app = Deployment(tmp_path, redis_url, redis_url).app()
    add = app.task(name="add")(lambda x, y: x + y)
    add.delay(1, 1)
    before = len(app.broker.pool.call("CLIENT", "LIST").splitlines())

    kept = add.delay_many((n, n) for n in range(20_000))
    kept += [add.delay(n, n) for n in range(100)]
    assert len({result.id for result in kept}) == 20_100
    assert app.broker.pool.call("PUBSUB", "CHANNELS") == []
    assert app.broker.pool.call("PUBSUB", "NUMPAT") == 0
    assert len(app.broker.pool.call("CLIENT", "LIST").splitlines()) <= before
