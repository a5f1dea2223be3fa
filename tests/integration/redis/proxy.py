"""A TCP proxy before a Redis server, which loses requests or answers on demand.

Redis reads a request whole and answers it whole, so the proxy can lose exactly one of them: cut
before the server sees a request, cut after the server has done it, or keep it back until later.
"""

from __future__ import annotations

import random
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

__all__ = ["Proxy", "proxy_to"]

Fate = Literal["lose request", "lose answer", "be late", "keep back"]


class Proxy:
    """Listens on a free loopback port. ``url`` leads through it to database 0."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._fate: tuple[bytes, Fate] | None = None
        #: A request met its fate.
        self.struck = threading.Event()
        self._kept_back: tuple[socket.socket, bytes] | None = None
        self._one_in: int | None = None
        self._random = random.Random(11)
        self.cuts = 0
        self._clients: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def strike(self, fate: Fate, marker: bytes = b"EVALSHA") -> None:
        """Let the next request that contains the marker meet this fate."""
        self.struck.clear()
        with self._lock:
            self._fate = (marker, fate)

    def strike_at_random(self, one_in: int | None) -> None:
        """Strike one of so many requests; None: no more."""
        with self._lock:
            self._one_in = one_in

    def deliver_kept_back(self) -> None:
        """Send the request that was kept back, long after its client has gone."""
        assert self._kept_back is not None
        (server, request), self._kept_back = self._kept_back, None
        with server:
            server.sendall(request)
            server.settimeout(5)
            assert server.recv(1 << 20)

    def cut(self) -> None:
        """Cut every connection now."""
        with self._lock:
            for client in self._clients:
                _hang_up(client)

    def close(self) -> None:
        _hang_up(self._listener)
        self.cut()
        for thread in self._threads:
            thread.join(5)
        self._listener.close()
        if self._kept_back is not None:
            self._kept_back[0].close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with self._lock:
                    self._clients.add(client)
                thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        server: socket.socket | None = None
        try:
            server = socket.create_connection(("127.0.0.1", self._target), 5)
            self._forward(client, server)
        except OSError:
            pass
        finally:
            with self._lock:
                self._clients.discard(client)
                keep = self._kept_back is not None and self._kept_back[0] is server
            client.close()
            if server is not None and not keep:
                server.close()
            self.struck.set()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        while True:
            readable, _, _ = select.select([client, server], [], [])
            if server in readable:
                answer = server.recv(1 << 20)
                if not answer:
                    return
                client.sendall(answer)
            if client in readable:
                request = client.recv(1 << 20)
                if not request or self._strikes(request, client, server):
                    return
                server.sendall(request)

    def _strikes(self, request: bytes, client: socket.socket, server: socket.socket) -> bool:
        fate = self._fate_of(request)
        if fate == "keep back":
            with self._lock:
                self._kept_back = (server, request)
        elif fate in ("lose answer", "be late"):
            if fate == "be late":
                _hang_up(client)
                time.sleep(self._random.random() * 0.01)
            server.sendall(request)
            assert server.recv(1 << 20)
        return fate is not None

    def _fate_of(self, request: bytes) -> Fate | None:
        with self._lock:
            if self._fate is not None and self._fate[0] in request:
                fate, self._fate = self._fate[1], None
                return fate
            if self._one_in is not None and self._random.randrange(self._one_in) == 0:
                self.cuts += 1
                return self._random.choice(("lose request", "lose answer", "be late"))
        return None


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy_to(port: int) -> Iterator[Proxy]:
    """A proxy for the length of a block."""
    proxy = Proxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
