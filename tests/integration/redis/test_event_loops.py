"""Callers inside event loops: few connections, nothing left behind, through lost connections."""

from __future__ import annotations

import asyncio
import time

import pytest

from umbel.backends.redis import RedisBackend
from umbel.exceptions import OperationalError
from umbel.testing.conformance.steps import eventually, ids, receive
from umbel.testing.messages import message, messages, record

pytestmark = pytest.mark.redis


@pytest.fixture
def plain(server, opened):
    """Without RESP3."""
    backend = RedisBackend(server.url_of(1), options={"protocol": 2})
    opened.callback(backend.close)
    return backend


@pytest.fixture(params=["RESP3", "RESP2"])
def waiting(request, backend, plain):
    return backend if request.param == "RESP3" else plain


def channels(server):
    return server.call("PUBSUB", "CHANNELS")


def connections(server) -> int:
    """Without the one that asks."""
    return len(server.call("CLIENT", "LIST").splitlines()) - 1


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)


def test_a_thousand_waits_need_two_connections_and_leave_no_subscription(waiting, server):
    names = [f"task-{number}" for number in range(1000)]
    before = connections(server)

    async def wait():
        waits = [asyncio.create_task(waiting.wait_async(name, 30)) for name in names]
        await until(lambda: len(channels(server)) == 1000)
        assert connections(server) - before <= 2
        for one in waits[:500]:
            one.cancel()
        await asyncio.gather(*waits[:500], return_exceptions=True)
        await until(lambda: len(channels(server)) == 500)
        waiting.store_many([record(name, result=name) for name in names])
        found = await asyncio.gather(*waits[500:])
        assert [one.result for one in found] == names[500:]
        await until(lambda: channels(server) == [])

    asyncio.run(wait())
    waiting.close()
    assert eventually(lambda: connections(server) == before)


def test_a_loop_that_ends_closes_its_connections(waiting, broker, server):
    before = connections(server)

    async def use():
        await broker.publish_async([message()])
        assert await waiting.wait_async("never", 0.01) is None
        assert connections(server) - before == 3

    asyncio.run(use())
    assert eventually(lambda: connections(server) == before)


def test_waits_and_senders_go_on_when_their_connections_are_cut(waiting, broker, backend, server):
    async def wait():
        waits = [asyncio.create_task(waiting.wait_async(f"task-{n}", 20)) for n in range(50)]
        await broker.publish_async([message(id="one")])
        for _ in range(3):
            await until(lambda: len(channels(server)) == 50)
            server.call("CLIENT", "KILL", "TYPE", "pubsub")
            server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await broker.publish_async([message(id="two")])
        backend.store_many([record(f"task-{n}", result=n) for n in range(50)])
        assert [one.result for one in await asyncio.gather(*waits)] == list(range(50))

    asyncio.run(wait())
    assert broker.admin.locate("one") is not None
    assert broker.admin.locate("two") is not None


def test_waits_go_on_through_a_restart(waiting, backend, server):
    async def wait():
        waits = [asyncio.create_task(waiting.wait_async(f"task-{n}", 20)) for n in range(20)]
        await until(lambda: len(channels(server)) == 20)
        await asyncio.to_thread(server.restart)
        await asyncio.to_thread(
            lambda: backend.store_many([record(f"task-{n}", result=n) for n in range(20)])
        )
        assert [one.result for one in await asyncio.gather(*waits)] == list(range(20))

    asyncio.run(wait())


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_result_that_is_too_large_for_a_subscriber_arrives(waiting, backend, when):
    large = record("large", result="x" * 33_000_000)

    async def wait():
        if when == "before":
            backend.store(large)
        wait = asyncio.create_task(waiting.wait_async("large", 20))
        beside = asyncio.create_task(waiting.wait_async("small", 20))
        await asyncio.sleep(0.2)
        if when == "meanwhile":
            await asyncio.to_thread(backend.store, large)
        assert len((await wait).result) == 33_000_000
        backend.store(record("small", result=1))
        assert (await beside).result == 1

    asyncio.run(wait())


def test_a_server_that_does_not_answer_is_an_error_within_the_time(broker, server):
    async def send():
        await broker.publish_async([message()])
        server.freeze()
        try:
            begun = time.monotonic()
            with pytest.raises(OperationalError, match="No answer from"):
                await broker.publish_async([message()], 0.3)
            assert time.monotonic() - begun < 1.5
        finally:
            server.thaw()
        await broker.publish_async([message(id="after")])

    asyncio.run(send())
    assert broker.admin.locate("after") is not None


def test_a_server_that_is_not_there_is_an_error_that_names_it(make_broker):
    broker = make_broker("redis://127.0.0.1:1/0", publish_timeout=0.5)

    with pytest.raises(OperationalError, match=r"Cannot reach redis://127\.0\.0\.1:1/0"):
        asyncio.run(broker.publish_async([message()]))


def test_senders_that_are_cancelled_leave_a_connection_that_works(broker, consume, server):
    before = connections(server)

    async def send():
        for _ in range(20):
            sending = [asyncio.create_task(broker.publish_async([one])) for one in messages(10)]
            await asyncio.sleep(0)
            for one in sending[::2]:
                one.cancel()
            await asyncio.gather(*sending, return_exceptions=True)
        assert connections(server) - before == 1
        await broker.publish_async([message(id="last")])

    asyncio.run(send())
    assert broker.admin.locate("last") is not None


def test_loops_that_were_closed_are_forgotten(broker, consume):
    for number in range(5):
        asyncio.run(broker.publish_async([message(id=str(number))]))

    assert len(broker._async_sender._links._made) == 1
    assert ids(receive(consume(broker), 5)) == [str(number) for number in range(5)]
