"""The SQLite broker keeps every promise of ``Broker``."""

from __future__ import annotations

import pytest

from umbel.backends.sql import SqlBackend
from umbel.testing.conformance.broker import BrokerConformance


class TestSqliteBroker(BrokerConformance):
    due_within = 0.05
    survives_restart = True

    @pytest.fixture
    def url(self, tmp_path):
        return f"sqlite:///{tmp_path}/umbel.sqlite3"

    def put_raw(self, broker, queue, data):
        with broker.driver.session() as session:
            insert = "INSERT INTO umbel_message (state, queue, priority, raw) VALUES (0, ?, 0, ?)"
            session.execute(insert, (queue, data))

    def restart(self, url):
        """There is nothing but the file."""

    @pytest.fixture
    def joined_backend(self, url):
        backend = SqlBackend(f"db+{url}")
        yield backend
        backend.close()
