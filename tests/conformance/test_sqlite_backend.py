"""The SQLite result backend keeps every promise of ``ResultBackend``."""

from __future__ import annotations

import pytest

from umbel.testing.conformance.backend import BackendConformance


class TestSqliteBackend(BackendConformance):
    @pytest.fixture
    def url(self, tmp_path):
        return f"db+sqlite:///{tmp_path}/umbel.sqlite3"
