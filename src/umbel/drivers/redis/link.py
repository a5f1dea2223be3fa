"""One connection to a Redis server, owned by one thread at a time.

A command is packed by hiredis, sent in one write and answered through hiredis's reader. Messages
that the server pushes between answers (RESP3) go to ``on_push`` and are never lost. Whatever
breaks the order of questions and answers closes the connection; the next use opens a new one.
"""

from __future__ import annotations

import hashlib
import math
import os
import select
import socket
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Any, Final

import hiredis

from umbel.drivers.redis.address import Address
from umbel.drivers.redis.greeting import greet
from umbel.drivers.redis.packing import Argument, pack
from umbel.drivers.redis.refusal import Refused, lost, reason_of, refusal
from umbel.drivers.redis.sockets import limit_by_kernel, open_socket, set_limit
from umbel.exceptions import ConnectionLost

__all__ = ["Argument", "Link", "Script"]

_INCOMPLETE: Final = object()
_READ: Final = 65536

_forks = 0


def _count_fork() -> None:
    global _forks  # noqa: PLW0603 - asking for the pid costs a system call with every command
    _forks += 1


os.register_at_fork(after_in_child=_count_fork)


class Script:
    """A Lua script, sent by its hash."""

    __slots__ = ("name", "sha", "source")

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.source = source
        self.sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


class Link:
    """Connects on first use. ``timeout`` bounds each answer; ``deadline``, when set, everything."""

    def __init__(
        self,
        address: Address,
        *,
        on_push: Callable[[list[Any]], None] | None = None,
        setup: Sequence[tuple[Argument, ...]] = (),
    ) -> None:
        self.address = address
        self.on_push = on_push
        #: Commands for every new connection; a refusal is kept in ``setup_refused``.
        self._setup = setup
        self.setup_refused: Refused | None = None
        #: 3 when the server pushes on this connection.
        self.protocol = address.protocol
        #: A moment of the monotonic clock.
        self.deadline: float | None = None
        #: Commands were posted whose answers nobody has collected: no use to anybody else.
        self.awaited = False
        #: When the pool got it back, on the monotonic clock.
        self.idle_since = 0.0
        self._socket: socket.socket | None = None
        self._reader: Any = None
        self._by_kernel = False
        self._limit = 0.0
        self._forks = _forks

    def __repr__(self) -> str:
        return f"<Link {self.address.url} {'open' if self.connected else 'closed'}>"

    @property
    def connected(self) -> bool:
        return self._socket is not None and self._forks == _forks

    def fileno(self) -> int:
        """Of the open connection; readable when the server has something to say."""
        if self._socket is None:
            raise ConnectionLost(f"Not connected to {self.address.url}")
        return self._socket.fileno()

    # Asking ---------------------------------------------------------------------------------------

    def call(self, *command: Argument) -> Any:
        """One command, one answer."""
        return self._checked(self._ask(pack(command)))

    def pipeline(self, commands: Iterable[tuple[Argument, ...]]) -> list[Any]:
        """Several commands in one write. The first refusal is raised after all were answered."""
        return self.collect(self.post(commands))

    def post(self, commands: Iterable[tuple[Argument, ...]]) -> int:
        """Send commands and do not wait: so many answers are to be collected before all else."""
        packed = [pack(command) for command in commands]
        self._prepare()
        self.awaited = True
        try:
            self._write(b"".join(packed))
        except BaseException:
            self.close()
            raise
        return len(packed)

    def collect(self, count: int) -> list[Any]:
        """The answers to what was posted. The first refusal is raised after all have arrived."""
        if not self.connected:
            raise ConnectionLost(f"The connection to {self.address.url} has been closed")
        try:
            self._limit_to(self._left())
            answers = [self._answer() for _ in range(count)]
            self.awaited = False
        except BaseException:
            self.close()
            raise
        return [self._checked(answer) for answer in answers]

    def eval(
        self,
        script: Script,
        keys: Sequence[Argument],
        arguments: Sequence[Argument],
        first: tuple[Argument, ...] = (),
    ) -> Any:
        """Run a script, which is sent whole only when the server does not know it yet. ``first``
        is a command that goes before it in the same write."""
        tail = (len(keys), *keys, *arguments)
        before = pack(first) if first else b""
        answer = self._ask(before + pack(("EVALSHA", script.sha, *tail)), skip=bool(first))
        if isinstance(answer, hiredis.ReplyError) and str(answer).startswith("NOSCRIPT"):
            answer = self._ask(before + pack(("EVAL", script.source, *tail)), skip=bool(first))
        return self._checked(answer)

    def listen(self, channel: str, *command: Argument) -> Any:
        """Subscribe to a channel, and send one command in the same write. RESP3: both go on one
        connection, and what is published comes to ``on_push``."""
        subscribe = pack(("SUBSCRIBE", channel))
        return self._checked(self._ask(subscribe + pack(command)))

    def send(self, *command: Argument) -> None:
        """One command whose answer, if it has one, is pushed."""
        self._prepare()
        try:
            self._write(pack(command))
        except BaseException:
            self.close()
            raise

    def receive(self) -> list[Any]:
        """What the server sends without having been asked, as to a RESP2 subscriber: everything
        that has arrived, and at least one answer."""
        try:
            answers = [self._answer()]
            while (answer := self._reader.gets()) is not _INCOMPLETE:
                answers.append(answer)
        except BaseException:
            self.close()
            raise
        return [self._checked(answer) for answer in answers]

    def wait_readable(self, timeout: float) -> bool:
        """Whether the server has something to say within so many seconds."""
        if self.has_decrypted():
            return True
        poller = select.poll()
        poller.register(self.fileno(), select.POLLIN)
        return bool(poller.poll(max(math.ceil(timeout * 1000), 0)))

    def take_pushed(self, *, read: bool = True) -> None:
        """Hand over what was pushed and has arrived, or with ``read=False`` what came along with
        the last answer. Never blocks."""
        if self._socket is None:
            raise ConnectionLost(f"Not connected to {self.address.url}")
        try:
            if read:
                self._feed(self._receive_now)
            while (answer := self._reader.gets()) is not _INCOMPLETE:
                self._push(answer)
        except BaseException:
            self.close()
            raise

    def has_decrypted(self) -> bool:
        """Whether bytes wait inside the TLS layer, which the file descriptor does not tell."""
        pending = getattr(self._socket, "pending", None)
        return bool(pending and pending())

    def connect(self) -> None:
        """Open the connection now, if it is not open."""
        self._prepare()

    def close(self) -> None:
        """Close the connection; the next use opens a new one."""
        connected, self._socket, self._reader = self._socket, None, None
        self.awaited = False
        if connected is not None:
            connected.close()

    def __del__(self) -> None:
        if getattr(self, "_socket", None) is not None:
            self.close()

    # Connecting -----------------------------------------------------------------------------------

    def _prepare(self) -> None:
        if self._socket is None:
            self._open()
        elif self._forks != _forks:
            self.close()  # the socket belongs to the parent; closing our copy does not disturb it
            self._open()
        self._limit_to(self._left())

    def _left(self) -> float:
        """Seconds for the next step."""
        if self.deadline is None:
            return self.address.timeout
        left = self.deadline - monotonic()
        if left <= 0:
            raise ConnectionLost(f"No answer from {self.address.url} in time")
        return left

    def _limit_to(self, seconds: float) -> None:
        if abs(seconds - self._limit) > 0.1 * self._limit and self._socket is not None:
            set_limit(self._socket, seconds, by_kernel=self._by_kernel)
            self._limit = seconds

    def _open(self) -> None:
        url = self.address.url
        self._forks = _forks
        patience = self._left()
        if self.address.connect_timeout is not None:
            patience = min(patience, self.address.connect_timeout)
        try:
            self._socket = open_socket(self.address, patience)
        except OSError as error:
            raise ConnectionLost(f"Cannot reach {url}: {reason_of(error)}") from error
        self._reader = hiredis.Reader(notEnoughData=_INCOMPLETE)
        self._by_kernel = limit_by_kernel(self._socket)
        if self._by_kernel:
            self._socket.settimeout(None)
        self._limit = 0.0
        try:
            set_limit(self._socket, patience, by_kernel=self._by_kernel)
            self._limit = patience
            self._greet()
            self._limit_to(self._left())
        except BaseException:
            self.close()
            raise

    def _greet(self) -> None:
        """Say what is said first on a new connection."""
        steps = greet(self.address, self._setup)
        try:
            commands = next(steps)
            while True:
                commands = steps.send(self._converse(commands))
        except StopIteration as end:
            self.protocol, self.setup_refused = end.value

    def _converse(self, commands: list[tuple[Argument, ...]]) -> list[Any]:
        if commands:
            self._write(b"".join(pack(command) for command in commands))
        return [self._answer() for _ in commands]

    # Bytes ----------------------------------------------------------------------------------------

    def _ask(self, packed: bytes, *, skip: bool = False) -> Any:
        """The answer, or with ``skip`` the one after it."""
        self._prepare()
        try:
            self._write(packed)
            if self.deadline is not None:
                self._limit_to(self._left())
            if skip:
                self._answer()
            return self._answer()
        except BaseException:
            self.close()  # an answer may still be on its way
            raise

    def _write(self, packed: bytes) -> None:
        assert self._socket is not None
        try:
            if len(packed) <= _READ:
                self._socket.sendall(packed)
                return
            left = memoryview(packed)
            while left:  # each piece within what is left of the time
                self._limit_to(self._left())
                left = left[self._socket.send(left) :]
        except OSError as error:
            raise lost(self.address, error) from error

    def _answer(self) -> Any:
        reader = self._reader
        try:
            while True:
                answer = reader.gets()
                if answer is _INCOMPLETE:
                    self._feed(self._receive)
                elif type(answer) is hiredis.PushNotification:
                    self._push(answer)
                else:
                    return answer
        except hiredis.ProtocolError as error:
            raise ConnectionLost(f"{self.address.url} does not speak Redis: {error}") from error

    def _push(self, answer: Any) -> None:
        if type(answer) is not hiredis.PushNotification:
            raise ConnectionLost(f"{self.address.url} answered what nobody had asked")
        if self.on_push is not None:
            self.on_push(answer)

    def _feed(self, receive: Callable[[], bytes | None]) -> None:
        try:
            data = receive()
        except OSError as error:
            raise lost(self.address, error) from error
        if data is None:
            return
        if not data:
            raise ConnectionLost(f"{self.address.url} closed the connection")
        self._reader.feed(data)

    def _receive(self) -> bytes:
        assert self._socket is not None
        return self._socket.recv(_READ)

    def _receive_now(self) -> bytes | None:
        """None when nothing has arrived."""
        assert self._socket is not None
        if self._by_kernel:
            try:
                return self._socket.recv(_READ, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return None
        self._socket.settimeout(0.0)
        try:
            return self._socket.recv(_READ)
        except BlockingIOError:
            return None
        except OSError as error:
            if type(error).__name__ == "SSLWantReadError":
                return None
            raise
        finally:
            self._socket.settimeout(self._limit)

    def _checked(self, answer: Any) -> Any:
        if isinstance(answer, hiredis.ReplyError):
            raise self._refusal(answer)
        return answer

    def _refusal(self, error: Exception) -> Refused:
        refused = refusal(self.address, str(error))
        if refused.elsewhere:
            self.close()
        return refused
