"""What a kind of broker or backend says of itself, so that the suites can be run on it.

A kind needs a fixture ``url`` (of an empty store, which it also clears away) and, for brokers,
``put_raw``. The rest has defaults::

    class TestAcmeBroker(BrokerConformance):
        wakes_within = 0.02

        @pytest.fixture
        def url(self, acme_server):
            return f"acme://{acme_server.address}/{uuid4()}"

        def put_raw(self, broker, queue, data):
            broker.client.push(queue, data)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Any, ClassVar, TypeAlias
from uuid import uuid4

import pytest

from umbel.backends.base import ResultBackend
from umbel.backends.registry import open_backend
from umbel.brokers.base import Broker, Consumer, RecordStore
from umbel.brokers.registry import open_broker
from umbel.testing.conformance.steps import QUEUE

__all__ = ["BackendKind", "BrokerKind", "Connect", "ConnectBackend", "Consume"]

#: ``another_broker(**options)``: one more Broker object on the same store, closed after the test.
Connect: TypeAlias = Callable[..., Broker]
#: ``another_backend(**options)``: one more ResultBackend object on the same store.
ConnectBackend: TypeAlias = Callable[..., ResultBackend]
#: ``consume(*queues, id=None, on=None, records=None)``: a Consumer that is closed after the test.
Consume: TypeAlias = Callable[..., Consumer]


class BrokerKind:
    """One kind of broker, as its subclass describes it."""

    #: Median seconds from ``publish`` in one process to ``exchange`` in another that was waiting.
    wakes_within: ClassVar[float] = 0.05
    #: Median seconds from the moment of a delayed message to its delivery to a waiting consumer.
    due_within: ClassVar[float] = 0.1
    #: Whether processes share the store (after a fork, for example).
    crosses_processes: ClassVar[bool] = True
    #: Whether ``restart`` is there and messages survive it.
    survives_restart: ClassVar[bool] = False

    @pytest.fixture
    def url(self) -> str:
        """The URL of an empty store of this test alone."""
        raise NotImplementedError

    def connect(self, url: str, **options: Any) -> Broker:
        """A new Broker object on this store, as another process would have. Options are those of
        every broker's constructor: ``max_message_size``, ``dead_limit``, ``dead_max_age``.
        """
        return open_broker(url, **options)

    def put_raw(self, broker: Broker, queue: str, data: bytes) -> None:
        """Lay these bytes on the queue as a foreign program would."""
        raise NotImplementedError

    def restart(self, url: str) -> None:
        """Stop the store and start it again; only where ``survives_restart``."""
        raise NotImplementedError

    @pytest.fixture
    def joined_backend(self) -> ResultBackend:
        """A result backend for which ``broker.joins`` is true."""
        pytest.skip("this kind of broker has no result backend on the same server")

    # What the tests ask for ----------------------------------------------------------------------

    @pytest.fixture
    def another_broker(self, url: str) -> Iterator[Connect]:
        with ExitStack() as opened:

            def connect(**options: Any) -> Broker:
                return opened.enter_context(closing(self.connect(url, **options)))

            yield connect

    @pytest.fixture
    def broker(self, another_broker: Connect) -> Broker:
        """A Broker on an empty store."""
        return another_broker()

    @pytest.fixture
    def second_broker(self, another_broker: Connect) -> Broker:
        """Another Broker on the same store."""
        return another_broker()

    @pytest.fixture
    def consume(self, broker: Broker) -> Iterator[Consume]:
        with ExitStack() as opened:

            def consume(
                *queues: str,
                id: str | None = None,  # noqa: A002 - the name it has on the consumer
                on: Broker | None = None,
                records: RecordStore | None = None,
            ) -> Consumer:
                names: Sequence[str] = queues or (QUEUE,)
                consumer = (on or broker).consume(names, id or f"test-{uuid4()}", records)
                return opened.enter_context(closing(consumer))

            yield consume

    @pytest.fixture
    def consumer(self, consume: Consume) -> Consumer:
        """A consumer of ``celery`` on ``broker``."""
        return consume()


class BackendKind:
    """One kind of result backend, as its subclass describes it."""

    #: Median seconds from ``store`` in one process to the return of ``wait`` in another.
    wakes_within: ClassVar[float] = 0.05
    #: Whether processes share the store (after a fork, for example).
    crosses_processes: ClassVar[bool] = True
    #: Seconds within which a record of a short ``ttl`` is gone after its end.
    expires_within: ClassVar[float] = 5.0

    @pytest.fixture
    def url(self) -> str:
        """The URL of an empty store of this test alone."""
        raise NotImplementedError

    def connect(self, url: str, **options: Any) -> ResultBackend:
        """A new backend object on this store, as another process would have. Options are those of
        every backend's constructor: ``serializer``, ``accept``.
        """
        return open_backend(url, **options)

    @pytest.fixture
    def another_backend(self, url: str) -> Iterator[ConnectBackend]:
        with ExitStack() as opened:

            def connect(**options: Any) -> ResultBackend:
                return opened.enter_context(closing(self.connect(url, **options)))

            yield connect

    @pytest.fixture
    def backend(self, another_backend: ConnectBackend) -> ResultBackend:
        """A backend on an empty store."""
        return another_backend()

    @pytest.fixture
    def second_backend(self, another_backend: ConnectBackend) -> ResultBackend:
        """Another backend object on the same store."""
        return another_backend()
