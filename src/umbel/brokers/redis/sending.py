"""Sends messages to Redis: batches of commands, tried again as the retry policy says.

Several batches can be under way at once: the server works on one while the next is being made.
What was sent when a connection broke may have arrived, and is sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from time import monotonic, sleep
from typing import Any, Final, Self, TypeVar

import msgspec

from umbel.brokers.redis import scripts
from umbel.brokers.redis.keys import Keys
from umbel.brokers.redis.settling import Rules, due_of
from umbel.drivers.redis import Link, Pool, Refused
from umbel.exceptions import (
    ConnectionLost,
    ImproperlyConfigured,
    MessageTooLarge,
    OperationalError,
)
from umbel.message.message import Message
from umbel.message.protocol import encode
from umbel.spelling import nearest

__all__ = ["Attempts", "Batch", "Overlap", "RetryPolicy", "Sender", "read_retry_policy"]

#: Messages, and bytes, in one command: a bound for the time that the server spends on it.
_MESSAGES_AT_ONCE: Final = 1000
_BYTES_AT_ONCE: Final = 4 * 1024 * 1024

T = TypeVar("T")


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When to try again after a broken connection; names and values are kombu's."""

    #: None: until the time is up.
    max_retries: int | None = 3
    interval_start: float = 0.0
    interval_step: float = 0.2
    interval_max: float = 0.2

    def pause(self, attempt: int) -> float | None:
        """Seconds before the retry after this many attempts; None: no more."""
        if self.max_retries is not None and attempt > self.max_retries:
            return None
        return min(self.interval_start + (attempt - 1) * self.interval_step, self.interval_max)


class Attempts:
    """The attempts at one step, of which each may fail; who waits between them is not said here."""

    def __init__(self, retry: RetryPolicy, deadline: float) -> None:
        self._retry = retry
        self._deadline = deadline
        self._count = 0

    def pause(self, problem: OperationalError, *, used: bool) -> float:
        """Seconds until the next attempt after this problem; raised when there is to be none.
        ``used``: the connection had been open before."""
        if isinstance(problem, Refused) and not problem.temporary:
            raise problem
        if used and self._count == 0:  # it had died while nobody used it: that is no attempt
            self._count = 1
            return 0.0
        self._count = max(self._count, 1)
        pause = self._retry.pause(self._count)
        if pause is None or monotonic() + pause >= self._deadline:
            raise OperationalError(str(problem)) from problem
        self._count += 1
        return pause


class Batch:
    """Messages on their way, by the list or the queue that they go to."""

    __slots__ = ("count", "delayed", "queues", "ready", "size")

    def __init__(self) -> None:
        self.ready: dict[str, list[bytes]] = {}
        #: Arguments of the delay script.
        self.delayed: dict[str, list[Any]] = {}
        self.queues: set[str] = set()
        self.count = 0
        self.size = 0

    def add(self, message: Message, raw: bytes, keys: Keys) -> None:
        queue = message.queue
        due = None if message.due is None else due_of(message)
        if due is None:
            place = keys.list_for(queue, message.priority)
            if place in self.ready:
                self.ready[place].append(raw)
            else:
                self.ready[place] = [raw]
        else:
            level = keys.level_of(message.priority)
            self.delayed.setdefault(queue, []).extend((message.id, due, level, raw))
        self.queues.add(queue)
        self.count += 1
        self.size += len(raw)


class Sender:
    """Safe to share between threads. ``largest``: bytes that a message may have."""

    def __init__(self, pool: Pool, rules: Rules, retry: RetryPolicy, largest: int) -> None:
        self._pool = pool
        self._rules = rules
        self._keys = rules.keys
        self._retry = retry
        self._largest = largest

    def batches(self, messages: Sequence[Message]) -> Iterator[Batch]:
        """The messages in their order, as many in one batch as may be."""
        batch = Batch()
        for message in messages:
            raw = message.written or encode(message)
            if len(raw) > self._largest:
                raise self._too_large(message, len(raw))
            batch.add(message, raw, self._keys)
            if batch.size > _BYTES_AT_ONCE or batch.count >= _MESSAGES_AT_ONCE:
                yield batch
                batch = Batch()
        if batch.count:
            yield batch

    def send(self, batch: Batch, deadline: float) -> None:
        """Return when the server has it all."""
        commands = self.commands(batch)
        if commands:
            self._insist(lambda link: link.pipeline(commands), deadline)
            self.remember(batch)
        for where, what in self.delays(batch):
            self._delay(where, what, deadline)

    def start(self, batch: Batch, deadline: float) -> tuple[Link, int] | None:
        """Send it and do not wait; ``finish`` must follow. None: it went the usual way."""
        # What makes the next batch may itself send messages, with another connection.
        if not batch.delayed and not self._pool.bounded:
            link = self._pool.take(deadline)
            try:
                self._pool.trust(link)
                return link, link.post(self.commands(batch))
            except ConnectionLost:
                self._pool.give(link)
            except BaseException:
                self._pool.give(link)
                raise
        self.send(batch, deadline)
        return None

    def finish(self, link: Link, count: int, batch: Batch, deadline: float) -> None:
        """Wait until the server has what was started on this connection."""
        link.deadline = deadline
        try:
            link.collect(count)
        except (ConnectionLost, Refused) as error:
            problem: OperationalError = error
        else:
            self.remember(batch)
            return
        finally:
            self._pool.give(link)
        if isinstance(problem, Refused) and not problem.temporary:
            raise problem
        self.send(batch, deadline)

    def commands(self, batch: Batch) -> list[tuple[Any, ...]]:
        """For the messages that are ready."""
        commands: list[tuple[Any, ...]] = [
            ("LPUSH", place, *raws) for place, raws in batch.ready.items()
        ]
        new = batch.queues - self._rules.known_queues
        if commands and new:
            commands.append(("SADD", self._keys.queues, *new))
        return commands

    def delays(self, batch: Batch) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
        """For the messages that are not: keys and arguments of the delay script."""
        for queue, what in batch.delayed.items():
            yield (*self._keys.delayed_of(queue), self._keys.queues), (queue, *what)

    def remember(self, batch: Batch) -> None:
        """The server has heard of its queues."""
        self._rules.known_queues.update(batch.queues)

    def _delay(self, where: Sequence[str], what: Sequence[Any], deadline: float) -> None:
        self._insist(lambda link: link.eval(scripts.DELAY, where, what), deadline)

    def _insist(self, work: Callable[[Link], T], deadline: float) -> T:
        """Do it, again and again as the retry policy says, until the deadline. What was sent when
        a connection broke may have arrived, and is sent again."""
        attempts = Attempts(self._retry, deadline)
        while True:
            link = self._pool.take(deadline)
            used = False
            try:
                self._pool.trust(link)
                used = link.connected
                return work(link)
            except (ConnectionLost, Refused) as error:
                problem: OperationalError = error
            finally:
                self._pool.give(link)
            self._pool.clear()
            if pause := attempts.pause(problem, used=used):
                sleep(pause)

    def _too_large(self, message: Message, size: int) -> MessageTooLarge:
        return MessageTooLarge(
            f"The message of {message.task} ({message.id}) has {size:,} bytes, "
            f"the limit is {self._largest:,}"
        )


class Overlap:
    """Sends one batch while the next is being made. ``patience``: seconds for each."""

    def __init__(self, sender: Sender, patience: float) -> None:
        self._sender = sender
        self._patience = patience
        self._started: tuple[Link, int, Batch] | None = None

    def send(self, batch: Batch) -> None:
        """Return when the batches before it are there, and this one is under way."""
        self._finish()
        started = self._sender.start(batch, monotonic() + self._patience)
        if started is not None:
            self._started = (*started, batch)

    def _finish(self) -> None:
        if self._started is not None:
            (link, count, batch), self._started = self._started, None
            self._sender.finish(link, count, batch, monotonic() + self._patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._finish()


def read_retry_policy(given: Mapping[str, Any] | None) -> RetryPolicy:
    """From the settings; a name that is nearly one of ours is refused."""
    fields = RetryPolicy.__struct_fields__
    policy = {name: value for name, value in (given or {}).items() if name in fields}
    for name in given or {}:
        hint = nearest(name, fields)
        if name not in fields and hint:
            raise ImproperlyConfigured(f"There is no {name!r} in a retry policy{hint}")
    return RetryPolicy(**policy)
