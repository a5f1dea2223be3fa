"""Answers ``GET /live`` and ``GET /ready`` from a thread of its own, for probes.

``/live`` says that the worker runs, whatever its tasks or the broker do; ``/ready`` says that it
takes messages now: 503 while the broker is away or the worker stops.
"""

from __future__ import annotations

import json
import logging
import socket
import socketserver
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from umbel.exceptions import ImproperlyConfigured
from umbel.service import Service
from umbel.waker import Waker, readable

__all__ = ["Health"]

logger = logging.getLogger("umbel.worker")


#: Seconds; nothing happens when they are over.
_LONG = 60.0


class Health(Service):
    """``address``: ``host:port`` (port 0: any free one) or the path of a unix socket."""

    name = "health"

    def __init__(self, address: str, ready: Callable[[], bool]) -> None:
        super().__init__()
        self.server = _open(address, _answer(ready))
        self.server.timeout = 0  # for one request, when there is one
        self._waker = Waker()
        #: Where it really listens.
        self.address = address
        if isinstance(self.server, _TcpServer):
            self.address = f"{address.rpartition(':')[0]}:{self.server.socket.getsockname()[1]}"

    def run(self) -> None:
        fds = (self.server.fileno(), self._waker.fd)
        while not self.stopping:
            readable(fds, _LONG)
            self.server.handle_request()

    def stop(self) -> None:
        super().stop()
        self._waker.set()
        self.join(_LONG)
        self.server.server_close()
        if isinstance(self.server, _UnixServer):
            Path(self.address).unlink(missing_ok=True)

    def disown(self) -> None:
        """In a forked child: only the worker itself answers."""
        self.server.socket.close()


class _Patient(socketserver.ThreadingMixIn):
    """Answers each in a thread of its own, and does not mind who has gone meanwhile."""

    daemon_threads = True

    def handle_error(self, _request: object, _client_address: object) -> None:
        error = sys.exception()
        if not isinstance(error, ConnectionError):
            logger.error("A probe could not be answered", exc_info=error)


class _TcpServer(_Patient, socketserver.TCPServer):
    allow_reuse_address = True


class _UnixServer(_Patient, socketserver.UnixStreamServer):
    pass


def _open(address: str, handler: type[BaseHTTPRequestHandler]) -> _TcpServer | _UnixServer:
    try:
        if "/" in address:
            _clear_away(Path(address))
            return _UnixServer(address, handler)
        host, _, port = address.rpartition(":")
        return _TcpServer((host or "127.0.0.1", int(port)), handler)
    except (ValueError, OverflowError):  # a port above 65535
        raise ImproperlyConfigured(
            f"worker_health_address is {address!r}: expected 'host:port', the port from 0 to 65535, or the path of a unix socket"
        ) from None
    except OSError as error:
        raise ImproperlyConfigured(
            f"worker_health_address {address!r} cannot be opened: {error.strerror}"
        ) from None


def _clear_away(path: Path) -> None:
    """A socket that a dead worker left behind; nothing else is deleted."""
    if path.is_socket() and probe(str(path), "/live") == 0:
        path.unlink()


def _answer(ready: Callable[[], bool]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version = "umbel"
        sys_version = ""
        wbufsize = -1  # one packet, since a probe may read no further than the first

        def do_GET(self) -> None:
            if self.path == "/live":
                self._say(200, "live")
            elif self.path == "/ready":
                self._say(*((200, "ready") if ready() else (503, "not ready")))
            else:
                self._say(404, "unknown path: ask /live or /ready")

        def _say(self, code: int, status: str) -> None:
            body = json.dumps({"status": status}).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "-"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Probes come every second; they are not worth a line."""

    return Handler


def probe(address: str, path: str = "/ready", timeout: float = 1.0) -> int:
    """Ask a worker's health address; the HTTP status, or 0 when nobody answers."""
    try:
        with _connect(address, timeout) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            answer = connection.recv(64)
        return int(answer.split()[1])
    except (OSError, IndexError, ValueError, OverflowError):
        return 0


def _connect(address: str, timeout: float) -> socket.socket:
    if "/" not in address:
        host, _, port = address.rpartition(":")
        return socket.create_connection((host or "127.0.0.1", int(port)), timeout)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(timeout)
    try:
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection
