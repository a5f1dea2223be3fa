"""A Redis server for the tests of one file, and brokers and consumers that are closed after a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from typing import Any

import pytest
from tests.integration.redis.proxy import Proxy, proxy_to
from tests.servers import RedisServer, redis_server

from umbel.backends.redis import RedisBackend
from umbel.brokers.redis.broker import RedisBroker
from umbel.brokers.redis.consumer import RedisConsumer
from umbel.exceptions import OperationalError


@pytest.fixture(scope="module")
def running_server() -> Iterator[RedisServer]:
    with redis_server(appendonly=True) as server:
        yield server


@pytest.fixture
def server(running_server: RedisServer) -> RedisServer:
    """Persistent, empty, and running when a test begins; a test may kill and restart it."""
    running_server.start()
    running_server.call("FLUSHALL")
    running_server.call("CONFIG", "RESETSTAT")
    return running_server


@pytest.fixture
def forgetful() -> Iterator[RedisServer]:
    """A server that keeps nothing beyond its process."""
    with redis_server() as server:
        yield server


@pytest.fixture
def proxy(server: RedisServer) -> Iterator[Proxy]:
    with proxy_to(server.port) as running:
        yield running


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def make_broker(server: RedisServer, opened: ExitStack) -> Callable[..., RedisBroker]:
    def make(url: str | None = None, **options: Any) -> RedisBroker:
        return opened.enter_context(closing(RedisBroker(url or server.url, **options)))

    return make


@pytest.fixture
def broker(make_broker: Callable[..., RedisBroker]) -> RedisBroker:
    return make_broker()


@pytest.fixture
def backend(server: RedisServer, opened: ExitStack) -> RedisBackend:
    """In the database beside that of the broker."""
    return opened.enter_context(closing(RedisBackend(server.url_of(1))))


@pytest.fixture
def consume(opened: ExitStack) -> Callable[..., RedisConsumer]:
    """``consume(broker, *queues, id=…, records=…)``; closed after the test as far as possible."""

    def close(consumer: RedisConsumer) -> None:
        with suppress(OperationalError):  # a test may leave its server dead
            consumer.close()

    def make(broker: RedisBroker, *queues: str, id: str = "worker", records: Any = None) -> Any:  # noqa: A002 - its name there
        consumer = broker.consume(queues or ["celery"], id, records)
        opened.callback(close, consumer)
        return consumer

    return make
