"""The broker inside the process does what every broker does."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from umbel.backends.memory import MemoryBackend
from umbel.drivers.memory import erase
from umbel.testing.conformance import BrokerConformance


class TestMemoryBroker(BrokerConformance):
    wakes_within = 0.02
    due_within = 0.03
    crosses_processes = False

    @pytest.fixture
    def url(self) -> Iterator[str]:
        url = f"memory://{uuid4()}"
        yield url
        erase(url)

    @pytest.fixture
    def joined_backend(self, url):
        return MemoryBackend(url)

    def put_raw(self, broker, queue, data):
        broker.put_raw(queue, data)
