"""Sends messages to Redis from inside event loops: what ``sending.py`` sends, without blocking.

Batches, commands, retries and limits are the ones of there. One connection for each loop carries
what all its tasks send.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from umbel.brokers.redis import scripts
from umbel.brokers.redis.sending import Attempts, Batch, RetryPolicy, Sender
from umbel.drivers.per_loop import PerLoop
from umbel.drivers.redis import Address, Refused
from umbel.drivers.redis.async_link import AsyncLink
from umbel.drivers.redis.packing import Argument
from umbel.exceptions import ConnectionLost, OperationalError

__all__ = ["AsyncSender"]


class AsyncSender:
    """Safe to share between threads and their loops."""

    def __init__(self, address: Address, sender: Sender, retry: RetryPolicy) -> None:
        self._sender = sender
        self._retry = retry
        self._links = PerLoop(lambda: AsyncLink(address))

    async def send(self, batch: Batch, deadline: float) -> None:
        """Return when the server has it all."""
        commands = self._sender.commands(batch)
        if commands:
            await self._insist(lambda link: link.pipeline(commands, deadline=deadline), deadline)
            self._sender.remember(batch)
        for where, what in self._sender.delays(batch):
            await self._delay(where, what, deadline)

    def close(self) -> None:
        """Close the connections of all loops."""
        self._links.close()

    async def _delay(
        self, where: Sequence[Argument], what: Sequence[Argument], deadline: float
    ) -> None:
        await self._insist(
            lambda link: link.eval(scripts.DELAY, where, what, deadline=deadline), deadline
        )

    async def _insist(
        self, work: Callable[[AsyncLink], Awaitable[object]], deadline: float
    ) -> None:
        """Do it, again and again as the retry policy says, until the deadline. What was sent when
        a connection broke may have arrived, and is sent again."""
        attempts = Attempts(self._retry, deadline)
        while True:
            link = self._links.mine()
            used = link.connected
            try:
                await work(link)
            except (ConnectionLost, Refused) as error:
                problem: OperationalError = error
            else:
                return
            await asyncio.sleep(attempts.pause(problem, used=used))
