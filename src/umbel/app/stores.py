"""Which broker and which result backend an app means, opened when they are first used.

The one place where settings become constructor arguments of brokers and backends. Without any URL
both are the same SQLite file in the app's directory; results are kept where messages are, unless
``result_backend`` says otherwise.
"""

from __future__ import annotations

import inspect
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from umbel.app.settings_check import level_of_the_program
from umbel.app.settings_table.urls import urls_in
from umbel.backends import registry as backends
from umbel.backends.base import ResultBackend
from umbel.brokers import registry as brokers
from umbel.brokers.base import Broker
from umbel.drivers.url import hide_password, scheme_of
from umbel.exceptions import UmbelWarning

if TYPE_CHECKING:
    from umbel.app.app import Umbel

__all__ = ["EMBEDDED", "Stores"]

#: The file that is broker and result backend where none is configured.
EMBEDDED = "umbel.sqlite3"

_DISABLED = ("disabled", "disabled://")
_REDIS = ("redis", "rediss", "redis+socket", "unix", "socket")


class Stores:
    """The broker and the result backend of one app. Safe to share between threads."""

    def __init__(self, app: Umbel) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._broker: tuple[str, Broker] | None = None
        self._backend: tuple[str, ResultBackend] | None = None
        self._noticed: set[tuple[str, ...]] = set()

    @property
    def embedded(self) -> bool:
        """No broker is configured, so that messages are kept in a file."""
        return self._app.conf.broker_url is None and self._app.conf.broker_write_url is None

    @property
    def broker(self) -> Broker:
        """The broker that this process sends to."""
        url = self._url("broker_write_url")
        with self._lock:
            if self._broker is None or self._broker[0] != url:
                if self._broker is not None:
                    self._broker[1].close()
                self._broker = (url, self._open_broker(url))
            return self._broker[1]

    @property
    def backend(self) -> ResultBackend | None:
        """The result backend; None: results are disabled."""
        url = self._backend_url()
        with self._lock:
            if self._backend is not None and self._backend[0] != url:
                self._backend[1].close()
                self._backend = None
            if self._backend is None and url is not None:
                self._backend = (url, self._open_backend(url))
            return None if self._backend is None else self._backend[1]

    @property
    def read_url(self) -> str:
        """Where workers take messages from."""
        return self._url("broker_read_url")

    def open_broker(self) -> Broker:
        """A broker of a worker's own."""
        return self._open_broker(self.read_url)

    def open_backend(self) -> ResultBackend | None:
        """A result backend of a worker's own."""
        url = self._backend_url()
        return None if url is None else self._open_backend(url)

    def close(self) -> None:
        """Close the connections of this process; they open again by themselves."""
        for opened in (self._broker, self._backend):
            if opened is not None:
                opened[1].close()

    def _url(self, setting: str) -> str:
        given: str | list[str] | None = self._app.conf[setting]
        if given is None:
            file = Path(self._app.directory(), EMBEDDED).absolute()
            return f"sqlite:///{quote(str(file))}"
        urls = [url.strip() for url in given.split(";")] if isinstance(given, str) else given
        if len(urls) > 1:
            name = "broker_url" if given == self._app.conf.broker_url else setting
            self._notice_others(name, urls, "broker")
        return urls[0]

    def _notice_others(self, setting: str, urls: Sequence[str], noun: str) -> None:
        """Say it once, not once for each setting that falls back to the same one."""
        noticed = len(self._noticed)
        self._noticed.add((setting, *urls))
        if len(self._noticed) > noticed:
            warnings.warn(
                f"only the first of the {len(urls)} URLs in {setting} is used, "
                f"{hide_password(urls[0])}: there is no failover from one {noun} to another",
                UmbelWarning,
                stacklevel=level_of_the_program(),
            )

    def _backend_url(self) -> str | None:
        conf = self._app.conf
        url = conf.result_backend
        if url is not None:
            urls = urls_in(url)
            if len(urls) > 1:
                self._notice_others("result_backend", urls, "result backend")
            return None if urls[0] in _DISABLED else urls[0]
        url = self._url("broker_write_url")
        # A broker that cannot keep results, too, means that nobody asked for any.
        return url if scheme_of(url) in backends.KINDS.paths else None

    def _open_broker(self, url: str) -> Broker:
        conf = self._app.conf
        retry = conf.task_publish_retry_policy if conf.task_publish_retry else {"max_retries": 0}
        opened: Broker = _construct(
            brokers.KINDS.find(url),
            url,
            options=self._options(url, conf.broker_transport_options, "broker_connection_timeout"),
            publish_timeout=conf.publish_timeout,
            dead_limit=conf.dead_letter_max_count,
            dead_max_age=conf.dead_letter_max_age,
            max_message_size=conf.message_max_size,
            priority_order=conf.redis_priority_order,
            retry_policy=retry,
        )
        return opened

    def _open_backend(self, url: str) -> ResultBackend:
        conf = self._app.conf
        opened: ResultBackend = _construct(
            backends.KINDS.find(url),
            url,
            options=self._options(url, conf.result_backend_transport_options),
            serializer=conf.result_serializer,
            accept=conf.result_accept_content or conf.accept_content,
        )
        return opened

    def _options(
        self, url: str, given: dict[str, Any], connection_timeout: str = ""
    ) -> dict[str, Any]:
        """Transport options for this kind: those that Celery knows are meant for servers.
        ``connection_timeout``: the setting that counts where the driver's own is not set."""
        conf = self._app.conf
        if scheme_of(url) not in _REDIS:
            known = ("synchronous", "timeout")
            return {name: value for name, value in given.items() if name in known}
        options = {
            name: conf[f"redis_{name}"]
            for name in ("socket_timeout", "socket_connect_timeout", "socket_keepalive")
            if conf.value_set_for(f"redis_{name}")
        }
        if connection_timeout and conf.value_set_for(connection_timeout):
            options.setdefault("socket_connect_timeout", conf[connection_timeout])
        return {**options, **given}


def _construct(kind: type[Any], url: str, **arguments: Any) -> Any:
    """Make one of this kind with those of the arguments that it takes."""
    taken = inspect.signature(kind).parameters
    return kind(url, **{name: value for name, value in arguments.items() if name in taken})
