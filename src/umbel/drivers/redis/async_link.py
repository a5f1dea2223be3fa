"""One connection to a Redis server that belongs to an event loop and is shared by all its tasks.

The same bytes and the same rules as in ``link.py``; only the waiting differs. Commands of many tasks
go out together and are answered in their order, so one connection serves any number of them. Whoever
is cancelled leaves nothing behind but an answer that nobody reads.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from time import monotonic
from typing import Any, Final

import hiredis

from umbel.drivers.redis.address import Address
from umbel.drivers.redis.greeting import Command, greet
from umbel.drivers.redis.link import Script
from umbel.drivers.redis.packing import Argument, pack
from umbel.drivers.redis.refusal import lost, reason_of, refusal
from umbel.drivers.redis.sockets import prepare_socket, tls_context
from umbel.exceptions import ConnectionLost

__all__ = ["AsyncLink"]

_INCOMPLETE: Final = object()
#: Seconds that an idle connection has to show that it still works.
_HEALTHY_WITHIN: Final = 1.0


class AsyncLink:
    """Connects on first use. With ``on_push`` it is for subscriptions: it asks nothing, and all that
    arrives goes there; ``on_lost`` is told when the connection is gone, whoever ended it."""

    def __init__(
        self,
        address: Address,
        *,
        on_push: Callable[[Any], None] | None = None,
        on_lost: Callable[[ConnectionLost], None] | None = None,
    ) -> None:
        self.address = address
        self._on_push = on_push
        self._on_lost = on_lost
        self._wire: _Wire | None = None
        self._opening = asyncio.Lock()
        self._guard: AsyncGenerator[None, None] | None = None

    def __repr__(self) -> str:
        return f"<AsyncLink {self.address.url} {'open' if self.connected else 'closed'}>"

    @property
    def connected(self) -> bool:
        return self._wire is not None and self._wire.problem is None

    # Asking ---------------------------------------------------------------------------------------

    async def call(self, *command: Argument, deadline: float | None = None) -> Any:
        """One command, one answer."""
        return self._checked(*await self._ask(pack(command), 1, deadline))

    async def pipeline(
        self, commands: Iterable[Command], *, deadline: float | None = None
    ) -> list[Any]:
        """Several commands in one write. The first refusal is raised after all were answered."""
        packed = [pack(command) for command in commands]
        answers = await self._ask(b"".join(packed), len(packed), deadline)
        return [self._checked(answer) for answer in answers]

    async def eval(
        self,
        script: Script,
        keys: Sequence[Argument],
        arguments: Sequence[Argument],
        *,
        deadline: float | None = None,
    ) -> Any:
        """Run a script, which is sent whole only when the server does not know it yet."""
        tail = (len(keys), *keys, *arguments)
        (answer,) = await self._ask(pack(("EVALSHA", script.sha, *tail)), 1, deadline)
        if isinstance(answer, hiredis.ReplyError) and str(answer).startswith("NOSCRIPT"):
            (answer,) = await self._ask(pack(("EVAL", script.source, *tail)), 1, deadline)
        return self._checked(answer)

    def post(self, *command: Argument) -> None:
        """One command whose answer, if it has one, is pushed; for an open connection."""
        if self._wire is None or self._wire.problem is not None:
            raise ConnectionLost(f"Not connected to {self.address.url}")
        self._wire.write(pack(command))

    async def connect(self, deadline: float | None = None) -> None:
        """Open the connection now, if it is not open."""
        try:
            async with asyncio.timeout(self._left(deadline)):
                await self._ready()
        except TimeoutError:
            raise self._late() from None

    def close(self) -> None:
        """Close the connection, in the thread of its loop; the next use opens a new one. Whoever
        waits for an answer is told that the connection is lost."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.end(ConnectionLost(f"The connection to {self.address.url} has been closed"))

    async def _ask(self, packed: bytes, count: int, deadline: float | None) -> list[Any]:
        wire: _Wire | None = None
        heard = 0
        try:
            async with asyncio.timeout(self._left(deadline)):
                wire = await self._ready()
                heard = wire.heard
                return await wire.ask(packed, count)
        except TimeoutError:
            if wire is not None and wire.heard == heard:  # nobody hears anything from it
                wire.end(self._late())
            raise self._late() from None

    def _left(self, deadline: float | None) -> float:
        if deadline is None:
            return self.address.timeout
        left = deadline - monotonic()
        if left <= 0:
            raise self._late()
        return left

    def _late(self) -> ConnectionLost:
        return ConnectionLost(f"No answer from {self.address.url} in time")

    def _checked(self, answer: Any) -> Any:
        if isinstance(answer, hiredis.ReplyError):
            refused = refusal(self.address, str(answer))
            if refused.elsewhere:
                self.close()
            raise refused
        return answer

    # Connecting -----------------------------------------------------------------------------------

    async def _ready(self) -> _Wire:
        wire = self._wire
        if wire is not None and wire.problem is None:
            idle = monotonic() - wire.heard_at
            if idle <= self.address.health_check_interval or self._on_push is not None:
                return wire
        async with self._opening:
            wire = self._wire
            if wire is None or wire.problem is not None or not await self._works(wire):
                wire = self._wire = await self._open()
            return wire

    async def _works(self, wire: _Wire) -> bool:
        """Try a connection that was idle for long."""
        if monotonic() - wire.heard_at <= self.address.health_check_interval:
            return True
        try:
            async with asyncio.timeout(_HEALTHY_WITHIN):
                await wire.ask(pack(("PING",)), 1)
        except (ConnectionLost, TimeoutError):
            wire.end(self._late())
            return False
        return True

    async def _open(self) -> _Wire:
        if self._guard is None:
            self._guard = self._close_with_loop()
            await anext(self._guard)
        address = self.address
        wire = _Wire(address, self._on_lost)
        patience = address.timeout if address.connect_timeout is None else address.connect_timeout
        try:
            async with asyncio.timeout(patience):
                await self._open_transport(wire)
        except OSError as error:
            wire.end(ConnectionLost(f"Cannot reach {address.url}"), tell=False)
            raise ConnectionLost(f"Cannot reach {address.url}: {reason_of(error)}") from error
        except BaseException:
            wire.end(ConnectionLost(f"Cannot reach {address.url}"), tell=False)
            raise
        try:
            await self._greet(wire)
        except BaseException:
            wire.end(ConnectionLost(f"Cannot greet {address.url}"), tell=False)
            raise
        wire.on_push = self._on_push
        return wire

    async def _open_transport(self, wire: _Wire) -> None:
        address = self.address
        loop = asyncio.get_running_loop()
        if address.path is not None:
            await loop.create_unix_connection(lambda: wire, address.path)
            return
        context = None if address.tls is None else tls_context(address)
        transport, _ = await loop.create_connection(
            lambda: wire, address.host, address.port, ssl=context
        )
        prepare_socket(transport.get_extra_info("socket"), address)

    async def _greet(self, wire: _Wire) -> None:
        steps = greet(self.address)
        try:
            commands = next(steps)
            while True:
                packed = b"".join(pack(command) for command in commands)
                commands = steps.send(await wire.ask(packed, len(commands)) if commands else [])
        except StopIteration:
            return

    async def _close_with_loop(self) -> AsyncGenerator[None, None]:
        """The loop ends its generators before it is closed, and with this one the connection."""
        try:
            yield
        finally:
            self._guard = None
            self.close()
            await asyncio.sleep(0)


class _Wire(asyncio.Protocol):
    """One open connection: what was asked, in its order, and what arrives."""

    def __init__(self, address: Address, on_lost: Callable[[ConnectionLost], None] | None) -> None:
        self._address = address
        self._on_lost = on_lost
        #: Given what arrives unasked; None while greeting, and where nothing is subscribed.
        self.on_push: Callable[[Any], None] | None = None
        #: Why it is of no more use.
        self.problem: ConnectionLost | None = None
        #: How many times something arrived, and when it last did.
        self.heard = 0
        self.heard_at = monotonic()
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._reader = hiredis.Reader(notEnoughData=_INCOMPLETE)
        self._asked: deque[tuple[asyncio.Future[list[Any]], int]] = deque()
        self._answers: list[Any] = []
        self._outgoing: list[bytes] = []

    def ask(self, packed: bytes, count: int) -> asyncio.Future[list[Any]]:
        """Send so many commands; the future is given their answers."""
        if self.problem is not None:
            raise ConnectionLost(str(self.problem))
        future: asyncio.Future[list[Any]] = self._loop.create_future()
        self._asked.append((future, count))
        self.write(packed)
        return future

    def write(self, packed: bytes) -> None:
        """What several tasks say in one turn of the loop goes out in one piece."""
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(packed)

    def end(self, problem: ConnectionLost, *, tell: bool = True) -> None:
        """Close it and tell everybody who waits. Ending twice is harmless."""
        if self.problem is not None:
            return
        self.problem = problem
        if self._transport is not None:
            self._transport.abort()
        asked, self._asked = self._asked, deque()
        for future, _ in asked:
            if not future.done():
                future.set_exception(ConnectionLost(str(problem)))
        if tell and self._on_lost is not None:
            self._on_lost(problem)

    def _flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        if self.problem is None:
            self._transport.write(b"".join(outgoing))

    # Told by the loop -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        if self.problem is not None:  # given up meanwhile
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(exc, OSError):
            self.end(lost(self._address, exc))
        else:
            self.end(ConnectionLost(f"{self._address.url} closed the connection"))

    def data_received(self, data: bytes) -> None:
        if self.problem is not None:
            return
        self.heard += 1
        self.heard_at = monotonic()
        try:
            self._reader.feed(data)
            while (answer := self._reader.gets()) is not _INCOMPLETE:
                self._take(answer)
        except hiredis.ProtocolError as error:
            self.end(ConnectionLost(f"{self._address.url} does not speak Redis: {error}"))

    def _take(self, answer: Any) -> None:
        if type(answer) is hiredis.PushNotification or (self.on_push and not self._asked):
            if self.on_push is not None:
                self.on_push(answer)
        elif not self._asked:
            self.end(ConnectionLost(f"{self._address.url} answered what nobody had asked"))
        else:
            future, count = self._asked[0]
            self._answers.append(answer)
            if len(self._answers) == count:
                self._asked.popleft()
                answers, self._answers = self._answers, []
                if not future.done():  # else its owner was cancelled
                    future.set_result(answers)
