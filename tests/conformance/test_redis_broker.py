"""Redis as a broker does what every broker does: with RESP3, and with polling where there is none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.servers import RedisServer, redis_server

from umbel.backends.redis import RedisBackend
from umbel.brokers.redis.broker import RedisBroker
from umbel.testing.conformance import BrokerConformance

pytestmark = pytest.mark.redis


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server(appendonly=True) as running:
        yield running


class TestRedisBroker(BrokerConformance):
    wakes_within = 0.005
    due_within = 0.02
    survives_restart = True

    @pytest.fixture
    def url(self, server):
        server.call("FLUSHALL")
        return server.url

    @pytest.fixture
    def joined_backend(self, server):
        backend = RedisBackend(server.url_of(1))
        yield backend
        backend.close()

    def put_raw(self, broker, queue, data):
        broker.pool.call("LPUSH", broker.keys.list_at(queue, 0), data)

    @pytest.fixture(autouse=True)
    def _keep_server(self, server):
        self.server = server

    def restart(self, url):
        self.server.restart()


class TestRedisBrokerWithoutTracking(TestRedisBroker):
    """RESP2, as behind a proxy: consumers look by themselves; keys carry a prefix."""

    wakes_within = 0.06
    due_within = 0.06

    def connect(self, url, **options):
        return RedisBroker(url, options={"protocol": 2, "global_keyprefix": "größe:"}, **options)
