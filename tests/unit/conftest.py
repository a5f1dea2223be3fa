"""An app on a memory broker of its own; afterwards the same app is current as before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from umbel import Celery, Umbel
from umbel.app import shared
from umbel.brokers.base import Settlement, Verdict
from umbel.current import existing_app, set_current_app

MakeApp = Callable[..., Any]


@pytest.fixture(autouse=True)
def _nothing_is_shared_between_tests(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(shared, "_tasks", {})
    monkeypatch.setattr(shared, "_apps", type(shared._apps)())
    monkeypatch.setattr(shared, "_integrations", [])
    before = existing_app()
    set_current_app(None)
    yield
    set_current_app(before)


@pytest.fixture
def store() -> str:
    """The URL of an empty broker and result backend in this process."""
    return f"memory://{uuid4().hex}"


@pytest.fixture
def app(store: str) -> Umbel:
    return Umbel("proj", broker=store)


@pytest.fixture
def celery(store: str) -> Celery:
    return Celery("proj", broker=store)


@pytest.fixture
def sent(store: str) -> Callable[..., list[Any]]:
    """Takes everything that waits on a queue and returns the messages."""

    def take(app: Umbel, queue: str = "celery") -> list[Any]:
        consumer = app.broker.consume([queue], f"test-{uuid4().hex}")
        found = consumer.exchange([], 1000).deliveries
        consumer.exchange([Settlement(delivery=one, verdict=Verdict.ACK) for one in found], 0)
        consumer.close()
        return [delivery.message for delivery in found]

    return take
