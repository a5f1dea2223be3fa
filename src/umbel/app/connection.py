"""``app.connection()``: a broker of one's own with Celery's manners, for programs that watch.

Programs for Celery open a connection and hand it to ``app.events.Receiver``. Here the broker holds the
connections; this gives it the names under which they are asked for. Sending needs none of it.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from umbel.app.stores import Stores
from umbel.brokers.base import Broker
from umbel.drivers.url import hide_password

__all__ = ["AppConnections", "Connection"]


class Connection:
    """A broker that is opened when it is first used, and closed with ``close`` or ``with``."""

    def __init__(self, url: str, open_broker: Callable[[], Broker]) -> None:
        self._url = url
        self._open = open_broker
        self._broker: Broker | None = None

    @property
    def broker(self) -> Broker:
        """The broker; after ``close`` another one."""
        if self._broker is None:
            self._broker = self._open()
        return self._broker

    def channel(self) -> Self:
        """Celery's name; a channel is the connection itself."""
        return self

    @property
    def default_channel(self) -> Self:
        """As ``channel``."""
        return self

    def clone(self, **_options: Any) -> Connection:
        """Another connection to the same broker."""
        return Connection(self._url, self._open)

    def connect(self) -> Self:
        """Ask the server for something; ``OperationalError`` when it does not answer."""
        self.broker.revoked()
        return self

    def ensure_connection(self, *_args: Any, **_options: Any) -> Self:
        """As ``connect``."""
        return self.connect()

    @property
    def connected(self) -> bool:
        """Whether it was opened and not closed since."""
        return self._broker is not None

    def as_uri(self, include_password: bool = False) -> str:
        """The URL, with ``**`` for the password."""
        return self._url if include_password else hide_password(self._url)

    def close(self) -> None:
        """Close it; closing twice is harmless."""
        broker, self._broker = self._broker, None
        if broker is not None:
            broker.close()

    release = close

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Connection: {self.as_uri()}>"


class AppConnections:
    """What an app offers to programs that hold a connection."""

    _stores: Stores

    def connection(self) -> Connection:
        """A connection of the caller's own, for ``app.events.Receiver``."""
        return Connection(self._stores.read_url, self._stores.open_broker)

    connection_for_read = connection
    connection_for_write = connection
