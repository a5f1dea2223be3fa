"""A node that computes answers who asks how it is (pain 18 of Celery's users: a busy solo worker does not)."""

import pytest
from tests.deployment import await_true


@pytest.mark.redis
@pytest.mark.parametrize("kind", ["redis"])
@pytest.mark.parametrize(("pool", "name"), [("solo", "spin"), ("asyncio", "async_block")])
def test_a_busy_node_answers(kind, deploy, pool, name):
    deployment = deploy()
    deployment.start("-P", pool, "-c", "1", app="tests.apps.pools", name="busy")
    app = deployment.app()
    busy = app.send_task(name, args=(3.0,), ignore_result=True)
    await_true(lambda: app.broker.admin.locate(busy.id).where == "lent", 10)

    assert app.control.ping(timeout=10) == [{"busy@test": {"ok": "pong"}}]
    [running] = await_true(
        lambda: app.control.inspect(timeout=10).active()["busy@test"], 10, "it tells what it runs"
    )
    assert running["id"] == busy.id
    assert app.broker.admin.locate(busy.id).where == "lent", "it was at work all the time"
