"""Calls and questions inside an event loop."""

from __future__ import annotations

import asyncio

import pytest

from umbel import states
from umbel.app.context import Context
from umbel.exceptions import TimeoutError  # noqa: A004
from umbel.message.failure import describe
from umbel.message.protocol import decode_body
from umbel.message.record import ResultRecord
from umbel.result import allow_join_result


@pytest.fixture
def add(app):
    @app.task(name="proj.add")
    def add(x, y=0):
        return x + y

    return add


def store(app, task_id, value=None, status=states.SUCCESS):
    app.backend.store(ResultRecord(task_id=task_id, status=status, result=value))


def test_a_call_inside_a_loop_is_on_the_queue_when_it_returns(app, add):
    async def call():
        first = await add.adelay(2, y=3)
        second = await add.aapply_async(
            (2,), {"y": 4}, task_id="mine", countdown=60, link=add.s(1), shadow="shown"
        )
        third = await app.asend_task("proj.elsewhere", (1,), queue="far")
        return first, second, third

    first, second, third = asyncio.run(call())

    assert second.id == "mine"
    assert app.broker.admin.locate(first.id).where == "ready"
    [delayed] = app.broker.admin.delayed("celery")
    assert (delayed.id, delayed.headers["shadow"]) == ("mine", "shown")
    assert [
        link["args"] for link in decode_body(delayed, ("application/json",))[2]["callbacks"]
    ] == [[1]]
    assert app.broker.admin.locate(third.id).queue == "far"


def test_arguments_and_options_are_checked_as_for_delay(add):
    with pytest.raises(TypeError, match=r"proj\.add"):
        asyncio.run(add.adelay())
    with pytest.raises(TypeError, match="countdown"):
        asyncio.run(add.aapply_async((1,), coutdown=5))


def test_many_calls_inside_a_loop_are_on_the_queue_when_it_returns(app, add):
    async def call():
        # More than go at once.
        first = await add.adelay_many((number,) for number in range(1500))
        second = await add.aapply_async_many([((1,), {"y": 2})] * 2, countdown=60)
        return first, second

    first, second = asyncio.run(call())

    assert len({result.id for result in first}) == 1500
    [queue] = app.broker.admin.queues(["celery"])
    assert (queue.ready, queue.delayed) == (1500, 2)
    assert {app.broker.admin.locate(result.id).where for result in second} == {"delayed"}


def test_many_calls_inside_a_loop_are_checked_and_told(app, add):
    from umbel.signals import after_task_publish

    told = []
    listen = after_task_publish.connect(lambda sender, **_: told.append(sender), weak=False)
    try:
        with pytest.raises(TypeError, match=r"proj\.add"):
            asyncio.run(add.adelay_many([(1,), ()]))
        assert told == []
        asyncio.run(add.adelay_many([(1,), (2,)]))
    finally:
        after_task_publish.disconnect(listen)

    assert told == ["proj.add"] * 2
    assert app.broker.admin.queues(["celery"])[0].ready == 2


def test_what_a_subclass_makes_of_a_call_is_sent(app):
    class Routed(app.Task):
        def apply_async(self, *args, **options):
            return super().apply_async(*args, **{**options, "queue": "own"})

    task = app.task(lambda: None, base=Routed, name="proj.routed")

    result = asyncio.run(task.adelay())

    assert app.broker.admin.locate(result.id).queue == "own"


def test_the_value_and_the_error_of_a_task(app, add):
    async def ask():
        result = await add.adelay(1)
        assert await result.astate() == "PENDING"
        assert not await result.aready()
        waiting = asyncio.create_task(result.aget(timeout=5))
        await asyncio.sleep(0.01)
        store(app, result.id, 5)
        assert await waiting == 5
        assert await result.aready()
        await result.aforget()
        assert await result.astate() == "PENDING"
        store(app, "failed", describe(ValueError("no")), states.FAILURE)
        with pytest.raises(ValueError, match="no"):
            await app.AsyncResult("failed").aget(timeout=5)
        error = await app.AsyncResult("failed").aget(propagate=False)
        assert isinstance(error, ValueError)

    asyncio.run(ask())


def test_a_wait_that_takes_too_long_says_so(app):
    with pytest.raises(TimeoutError, match=r"task nobody was not there after 0\.05 seconds"):
        asyncio.run(app.AsyncResult("nobody").aget(timeout=0.05))
    with pytest.raises(TypeError, match="timeout"):
        asyncio.run(app.AsyncResult("nobody").aget(timeout="soon"))


def test_waiting_inside_a_task_is_refused(app, add):
    store(app, "other", 1)

    with add.requested(Context(id="running", called_directly=False)):
        with pytest.raises(RuntimeError, match="Never wait for a result inside a task"):
            asyncio.run(app.AsyncResult("other").aget())
        with allow_join_result():
            assert asyncio.run(app.AsyncResult("other").aget()) == 1


def test_eager_calls_inside_a_loop(app, add):
    app.conf.task_always_eager = True

    async def call():
        result = await add.adelay(2, 3)
        assert await result.aready()
        assert await result.astate() == "SUCCESS"
        await result.aforget()
        return await result.aget(timeout=1)

    assert asyncio.run(call()) == 5


def test_a_task_without_result_has_none_to_wait_for(app):
    task = app.task(lambda: None, name="proj.silent", ignore_result=True)

    async def call():
        return await (await task.adelay()).aget()

    assert asyncio.run(call()) is None
