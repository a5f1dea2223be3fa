from __future__ import annotations

import pytest

from umbel.backends.sql import SqlBackend
from umbel.brokers.sql.broker import SqlBroker


@pytest.fixture
def path(tmp_path):
    return tmp_path / "umbel.sqlite3"


@pytest.fixture
def url(path):
    return f"sqlite:///{path}"


@pytest.fixture
def broker(url):
    broker = SqlBroker(url)
    yield broker
    broker.close()


@pytest.fixture
def backend(url):
    backend = SqlBackend(url)
    yield backend
    backend.close()
