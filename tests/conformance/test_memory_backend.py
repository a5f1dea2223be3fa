"""The result backend inside the process does what every result backend does."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from umbel.drivers.memory import erase
from umbel.testing.conformance import BackendConformance


class TestMemoryBackend(BackendConformance):
    wakes_within = 0.02
    crosses_processes = False

    @pytest.fixture
    def url(self) -> Iterator[str]:
        url = f"memory://{uuid4()}"
        yield url
        erase(url)
