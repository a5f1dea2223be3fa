"""2,000 calls and their results, 100 at a time: in one event loop, and in 100 threads."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from umbel import Umbel
from umbel.brokers.base import Settlement, Verdict
from umbel.message.body import decode_body
from umbel.testing.messages import record

pytestmark = pytest.mark.redis

CALLS, AT_ONCE = 2000, 100
JSON = ("application/json",)


@pytest.fixture
def app(server) -> Iterator[Umbel]:
    with Umbel("load", broker=server.url, backend=server.url_of(1), set_as_current=False) as made:
        yield made


@pytest.fixture
def answers(app) -> Iterator[None]:
    """Somebody who adds the arguments of every message."""
    broker, backend, stop = app.open_broker(), app.open_backend(), threading.Event()

    def answer() -> None:
        consumer = broker.consume(["celery"], "adder", backend)
        done: list[Settlement] = []
        while not stop.is_set():
            taken = consumer.exchange(done, AT_ONCE).deliveries
            done = [
                Settlement(
                    delivery=one,
                    verdict=Verdict.ACK,
                    record=record(one.message.id, result=sum(decode_body(one.message, JSON)[0])),
                )
                for one in taken
            ]
            if not taken:
                consumer.wait(0.1)
        consumer.close()

    thread = threading.Thread(target=answer)
    thread.start()
    yield
    stop.set()
    thread.join()
    broker.close()
    backend.close()


def test_one_loop_keeps_up_with_a_hundred_threads(app, answers, server) -> None:
    add = app.task(lambda x, y: x + y, name="load.add")
    most, before = 0, threading.active_count()

    async def call(number: int, places: asyncio.Semaphore) -> int:
        nonlocal most
        async with places:
            result = await add.adelay(number, 1)
            most = max(most, threading.active_count())
            return await result.aget(timeout=30)

    async def calls() -> list[int]:
        places = asyncio.Semaphore(AT_ONCE)
        return await asyncio.gather(*(call(number, places) for number in range(CALLS)))

    began = time.perf_counter()
    assert asyncio.run(calls()) == list(range(1, CALLS + 1))
    in_loop = time.perf_counter() - began
    began = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda n: add.delay(n, 1).get(timeout=30), range(CALLS)))
    in_threads = time.perf_counter() - began

    print(f"one loop: {CALLS / in_loop:.0f}/s; {AT_ONCE} threads: {CALLS / in_threads:.0f}/s")
    assert found == list(range(1, CALLS + 1))
    assert most == before
    assert in_loop < 3 * in_threads
