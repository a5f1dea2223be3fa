"""Redis as a result backend does what every result backend does, in every format."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.servers import RedisServer, redis_server

from umbel.backends.redis import RedisBackend
from umbel.testing.conformance import BackendConformance

pytestmark = pytest.mark.redis


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


class TestRedisBackend(BackendConformance):
    wakes_within = 0.005

    @pytest.fixture
    def url(self, server):
        server.call("FLUSHALL")
        return server.url_of(1)


class TestRedisBackendWithoutPush(TestRedisBackend):
    """RESP2: a second connection listens."""

    def connect(self, url, **options):
        return RedisBackend(url, options={"protocol": 2, "global_keyprefix": "app"}, **options)


class TestRedisBackendWithPickle(TestRedisBackend):
    """The server cannot read the records, so an unready one needs a look first."""

    def connect(self, url, **options):
        return RedisBackend(url, serializer="pickle", accept=("pickle",), **options)
