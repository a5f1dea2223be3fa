"""Workers on each kind of store; a test asks for ``deploy`` and gets it on every kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.deployment import Deployment
from tests.servers import RedisServer

#: Short enough for tests; the proportions are those of the defaults.
QUICK = {"worker_heartbeat_interval": 0.3, "worker_heartbeat_limit": 2.0}


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of this test's own, persistent, which the test may kill and restart."""
    server = RedisServer(appendonly=True)
    server.start()
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.redis)])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def deploy(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[..., Deployment]]:
    """Makes a deployment on this kind of store, with these settings."""
    made: list[Deployment] = []

    def make(**conf: Any) -> Deployment:
        if kind == "redis":
            broker = backend = request.getfixturevalue("redis_server").url
        else:
            broker = backend = f"sqlite:///{tmp_path}/umbel.sqlite3"
        made.append(Deployment(tmp_path, broker, backend, **{**QUICK, **conf}))
        return made[-1]

    yield make
    for deployment in made:
        deployment.end()
