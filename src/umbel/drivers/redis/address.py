"""Where a Redis server is and how to reach it, read from a URL and transport options.

URLs and option names are those of Celery, kombu and redis-py. Options in the URL's query and in
the mapping mean the same; the mapping wins. Nothing is connected here, and a password is never
part of a message or a ``repr``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import msgspec

from umbel.drivers.url import hide_password
from umbel.exceptions import ImproperlyConfigured, UmbelWarning
from umbel.spelling import closest, nearest

__all__ = ["Address", "read_address"]

_TCP: Final = ("redis", "valkey")
_TLS: Final = ("rediss", "valkeys")
_SOCKET: Final = ("redis+socket", "unix", "socket")

#: Options of Celery and kombu that have no meaning here (loans do not time out, nobody polls).
_WITHOUT_MEANING: Final = frozenset(
    {
        "ack_emulation",
        "body_encoding",
        "confirm_publish",
        "deadletter_queue",
        "fanout_patterns",
        "fanout_prefix",
        "interval_max",
        "interval_start",
        "interval_step",
        "max_retries",
        "polling_interval",
        "priority_steps",
        "queue_order_strategy",
        "reauth_check_interval",
        "retry_policy",
        "retry_on_error",
        "retry_on_timeout",
        "sep",
        "socket_read_size",
        "unacked_index_key",
        "unacked_key",
        "unacked_mutex_expire",
        "unacked_mutex_key",
        "unacked_restore_interval",
        "unacked_restore_limit",
        "unacked_restore_throttle",
        "visibility_timeout",
    }
)


class Address(msgspec.Struct, frozen=True, kw_only=True, eq=True):
    """One database of one server, and how to speak with it."""

    scheme: str = "redis"
    host: str = "localhost"
    port: int = 6379
    #: Of a Unix domain socket; None: TCP.
    path: str | None = None
    db: int = 0
    username: str | None = None
    password: str | None = None
    #: redis-py's ``CredentialProvider``, or anything with ``get_credentials()``.
    credential_provider: Any = None
    #: ``ssl_*`` options; None: no TLS.
    tls: dict[str, Any] | None = None
    #: Put before every key and channel by whoever makes keys.
    prefix: str = ""
    #: Seconds for one answer, where the caller has no deadline of its own.
    timeout: float = 5.0
    #: Seconds to connect; None: as long as the answer may take.
    connect_timeout: float | None = None
    keepalive: bool = True
    keepalive_options: dict[int, int] = {}
    client_name: str | None = None
    #: The most connections in use at once; None: as many as threads ask for.
    max_connections: int | None = None
    #: Seconds without use after which a connection is tried before it is trusted.
    health_check_interval: float = 25.0
    #: 3, or 2 for servers and proxies that have no RESP3.
    protocol: int = 3

    @property
    def url(self) -> str:
        """The URL without password."""
        user = f"{self.username or ''}:**@" if self.password else ""
        if not user and self.username:
            user = f"{self.username}@"
        if self.path is not None:
            return f"{self.scheme}://{user}{self.path}?virtual_host={self.db}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{user}{host}:{self.port}/{self.db}"

    @property
    def server(self) -> tuple[str, int]:
        """Equal for two addresses of one server, as far as their names tell."""
        if self.path is not None:
            return self.path, 0
        here = self.host in ("localhost", "127.0.0.1", "::1")
        return "localhost" if here else self.host.lower(), self.port

    def __repr__(self) -> str:
        return f"<Address {self.url}>"


def read_address(url: str, options: Mapping[str, Any] | None = None) -> Address:
    """The address that a URL and transport options describe. ``ImproperlyConfigured`` says what
    is wrong with them."""
    try:
        parts = urlsplit(url)
        fields = _place(parts)
    except ValueError as error:
        raise ImproperlyConfigured(
            f"Cannot read the Redis URL {hide_password(url)!r}: {error}; "
            "percent-encode special characters in user and password"
        ) from None
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    merged: dict[str, Any] = {**given, **(options or {})}
    where = f"in the Redis URL or transport options of {hide_password(url)!r}"
    ssl = dict(fields.pop("tls", None) or {})
    wants_tls = parts.scheme in _TLS
    for name, value in merged.items():
        if name == "ssl":
            wants_tls = wants_tls or bool(value)
            ssl.update(value if isinstance(value, Mapping) else {})
        elif name.startswith("ssl_"):
            ssl[name] = value
        elif name in _OPTIONS:
            field, convert = _OPTIONS[name]
            if value is not None:
                fields[field] = _converted(name, value, convert, where)
        else:
            _look_at_unknown(name, where)
    if wants_tls:
        fields["tls"] = ssl
    return Address(**fields)


def _place(parts: SplitResult) -> dict[str, Any]:
    """Scheme, host, port or path, database, user and password."""
    schemes = (*_TCP, *_TLS, *_SOCKET)
    if parts.scheme not in schemes:
        raise ValueError(f"there is no scheme {parts.scheme!r}{nearest(parts.scheme, schemes)}")
    fields: dict[str, Any] = {"scheme": parts.scheme}
    if parts.username:
        fields["username"] = unquote(parts.username)
    if parts.password:
        fields["password"] = unquote(parts.password)
    path = unquote(parts.path)
    if parts.scheme in _SOCKET:
        if not path.strip("/"):
            raise ValueError("it names no socket file")
        fields["path"] = path
        return fields
    if parts.hostname:
        fields["host"] = unquote(parts.hostname)
    if parts.port is not None:
        fields["port"] = parts.port
    if path.strip("/"):
        fields["db"] = _database(path)
    return fields


def _database(value: Any) -> int:
    text = str(value).strip("/")
    if not text:
        return 0
    if not text.isdecimal():
        raise ValueError(f"a database is a number such as /0, not {text!r}")
    return int(text)


def _flag(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().lower() not in ("", "0", "f", "false", "n", "no", "off")
    return bool(value)


def _seconds(value: Any) -> float:
    seconds = float(value)
    if not seconds > 0:
        raise ValueError("it must be above 0")
    return seconds


def _count(value: Any) -> int:
    number = int(value)
    if number < 1:
        raise ValueError("it must be at least 1")
    return number


def _interval(value: Any) -> float:
    """0 switches a check off."""
    return float(value) or float("inf")


def _protocol(value: Any) -> int:
    number = int(value)
    if number not in (2, 3):
        raise ValueError("it must be 2 or 3")
    return number


#: Option -> field of ``Address`` and what makes it one.
_OPTIONS: Final[dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "client_name": ("client_name", str),
    "credential_provider": ("credential_provider", lambda value: value),
    "db": ("db", _database),
    "global_keyprefix": ("prefix", str),
    "health_check_interval": ("health_check_interval", _interval),
    "max_connections": ("max_connections", _count),
    "password": ("password", str),
    "protocol": ("protocol", _protocol),
    "socket_connect_timeout": ("connect_timeout", _seconds),
    "socket_keepalive": ("keepalive", _flag),
    "socket_keepalive_options": ("keepalive_options", dict),
    "socket_timeout": ("timeout", _seconds),
    "username": ("username", str),
    "virtual_host": ("db", _database),
}


def _converted(name: str, value: Any, convert: Callable[[Any], Any], where: str) -> Any:
    try:
        return convert(value)
    except (TypeError, ValueError) as error:
        shown = "" if name == "password" else f" = {value!r}"
        raise ImproperlyConfigured(f"{name}{shown} {where}: {error}") from None


def _look_at_unknown(name: str, where: str) -> None:
    """kombu hands every option to its transport and ignores what it does not know; so do we, but a
    slip of the finger is said."""
    if name in _WITHOUT_MEANING:
        return
    near = closest(name, (*_OPTIONS, "ssl", "ssl_cert_reqs", "ssl_ca_certs"), 0.8)
    if near is not None:
        warnings.warn(
            f"There is no option {name!r} {where}; did you mean {near!r}?",
            UmbelWarning,
            stacklevel=4,
        )
