"""All that the tasks of one event loop ask and await of a Redis result backend.

One connection subscribes for everybody and another asks, because the server ends a subscription
that has to carry more than 32 MB, and an answer on the same connection would count. What a record
looks like is decided in ``redis.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any, TypeAlias

from umbel.backends.redis import LOOK_AFTER, Patience
from umbel.drivers.per_loop import PerLoop
from umbel.drivers.redis import Address, Refused
from umbel.drivers.redis.async_link import AsyncLink
from umbel.exceptions import ConnectionLost
from umbel.message.record import ResultRecord

__all__ = ["RedisWaits", "waits_per_loop"]

#: What one wait is told: a payload that was published, None when the subscription has begun, or
#: why it has ended.
News: TypeAlias = "asyncio.Queue[bytes | ConnectionLost | None]"
Ready: TypeAlias = Callable[[bytes], ResultRecord | None]


class _Channel:
    """Those who wait for one record."""

    def __init__(self) -> None:
        self.waits: set[News] = set()
        self.confirmed = False


class RedisWaits:
    """Belongs to one event loop. A channel is subscribed to for as long as somebody waits."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._asker = AsyncLink(address)
        self._listener = AsyncLink(address, on_push=self._hear, on_lost=self._lose)
        self._channels: dict[bytes, _Channel] = {}
        #: Subscriptions that the server has not confirmed, by channel: some may be of waits that
        #: have left.
        self._begun: dict[bytes, int] = {}

    async def load(self, key: str) -> bytes | None:
        """What is there now."""
        payload: bytes | None = await self._ask("GET", key)
        return payload

    async def forget(self, key: str) -> None:
        """Delete it."""
        await self._ask("DEL", key)

    async def wait(self, key: str, ready: Ready, deadline: float) -> ResultRecord | None:
        """The record for which ``ready`` says so; None when the deadline passed first."""
        patience = Patience(deadline)
        while True:
            try:
                await self._listener.connect()
                patience.renew()
                return await self._wait_connected(key, ready, deadline)
            except (ConnectionLost, Refused) as error:
                pause = patience.pause(error)
            await asyncio.sleep(pause)

    def close(self) -> None:
        """Close the connections; who waits opens them again."""
        self._asker.close()
        self._listener.close()

    async def _ask(self, *command: str) -> Any:
        """Once more on a new connection when an idle one had died."""
        used = self._asker.connected
        try:
            return await self._asker.call(*command)
        except ConnectionLost:
            if not used:
                raise
            return await self._asker.call(*command)

    async def _wait_connected(self, key: str, ready: Ready, deadline: float) -> ResultRecord | None:
        """Wait for as long as the connection holds: subscribe, look, and take what is published."""
        news: News = asyncio.Queue()
        channel = self._join(key, news)
        try:
            if not channel.confirmed:
                await self._confirmation(news)
            payload = await self._asker.call("GET", key)
            while True:
                if payload is not None and (found := ready(payload)) is not None:
                    return found
                left = min(deadline - monotonic(), LOOK_AFTER)
                if left <= 0:
                    return None
                payload = await self._news(news, left)
                if payload is None and monotonic() < deadline:
                    payload = await self._asker.call("GET", key)
        finally:
            self._leave(key, news)

    async def _confirmation(self, news: News) -> None:
        try:
            async with asyncio.timeout(self._address.timeout):
                told = await news.get()
        except TimeoutError:
            self._listener.close()
            raise ConnectionLost(f"No answer from {self._address.url} in time") from None
        if isinstance(told, ConnectionLost):
            raise told

    async def _news(self, news: News, seconds: float) -> bytes | None:
        try:
            async with asyncio.timeout(seconds):
                told = await news.get()
        except TimeoutError:
            return None
        if isinstance(told, ConnectionLost):
            raise told
        return told

    # Channels -------------------------------------------------------------------------------------

    def _join(self, key: str, news: News) -> _Channel:
        name = key.encode()
        channel = self._channels.get(name)
        if channel is None:
            self._listener.post("SUBSCRIBE", name)
            self._begun[name] = self._begun.get(name, 0) + 1
            channel = self._channels[name] = _Channel()
        channel.waits.add(news)
        return channel

    def _leave(self, key: str, news: News) -> None:
        name = key.encode()
        channel = self._channels.get(name)
        if channel is None or news not in channel.waits:
            return  # the connection is lost, and everything with it
        channel.waits.remove(news)
        if not channel.waits:
            del self._channels[name]
            if self._listener.connected:
                self._listener.post("UNSUBSCRIBE", name)

    def _hear(self, push: Any) -> None:
        kind, name, *rest = push
        channel = self._channels.get(name)
        if kind == b"subscribe":
            left = self._begun[name] = self._begun.get(name, 1) - 1
            if not left:
                del self._begun[name]
                if channel is not None:
                    channel.confirmed = True
                    for news in channel.waits:
                        news.put_nowait(None)
        elif kind == b"message" and channel is not None:
            for news in channel.waits:
                news.put_nowait(rest[0])

    def _lose(self, problem: ConnectionLost) -> None:
        channels, self._channels = self._channels, {}
        self._begun.clear()
        for channel in channels.values():
            for news in channel.waits:
                news.put_nowait(ConnectionLost(str(problem)))


def waits_per_loop(address: Address) -> PerLoop[RedisWaits]:
    """Those of each loop."""
    return PerLoop(lambda: RedisWaits(address))
