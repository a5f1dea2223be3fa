"""Tells monitors what becomes of tasks: the events of one process, in Celery's form.

While it is switched on it receives what the emitter is told, and a thread of its own publishes that in
lists: a job waits for nothing, and does not notice that the server is away. Switched off, it is not
subscribed; nor is it for a second after a list that nobody heard, where the server says so. Who
switches it is ``worker/telling.py``.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from umbel.brokers.bus import Bus
from umbel.events.celery_form import TOLD, Fields, fields_of, stamped, utcoffset
from umbel.events.emitter import Emitter
from umbel.events.lamport import LamportClock
from umbel.events.types import Event, TaskEvent
from umbel.exceptions import OperationalError
from umbel.service import Service

__all__ = ["EventSender"]

logger = logging.getLogger("umbel.worker")

#: Events that wait to be sent, above all while the server is away; then the oldest are forgotten.
KEPT = 10_000
#: Events in a list. When so many wait, they are sent at once.
LIST = 500
#: Seconds between two lists, and for which the first event after a pause waits for others.
BETWEEN, FIRST = 0.5, 0.02
#: Seconds until another attempt.
TRY_AGAIN = 1.0
#: Seconds without events after a list that nobody heard.
UNHEARD = 1.0
#: Seconds between two complaints about forgotten events.
COMPLAIN_AGAIN = 30.0
#: Seconds that the last events have when the process leaves.
LAST = 1.0


class EventSender:
    """``quiet`` is held while the broker is being talked to, in a process that forks; there the
    emitter changes only in ``switch``. May be switched from any thread."""

    def __init__(
        self,
        *,
        bus: Bus,
        emitter: Emitter,
        clock: LamportClock,
        node: str,
        exchange: str,
        private: Callable[[], Collection[str]] = tuple,
        types: Collection[type[Any]] = TOLD,
        quiet: AbstractContextManager[object] | None = None,
    ) -> None:
        self.on = False
        self._subscribed = False
        self._switching = threading.Lock()
        self._emitter = emitter
        self._types = types
        self._clock = clock
        #: Gives the names of tasks that nobody is to be told of.
        self._find_private = private
        self._private: Collection[str] = ()
        self._waiting: deque[tuple[int, Event]] = deque(maxlen=KEPT)
        self._lost = 0
        self._complained_at = -COMPLAIN_AGAIN
        self._courier = _Courier(
            take=self._take,
            rest=self._rest if quiet is None else None,
            publish=partial(bus.publish, f"{exchange}/task.multi"),
            node=node,
            quiet=quiet or nullcontext(),
        )

    def switch(self, on: bool) -> None:
        """Tell from now on, or no more. Who asks for it again listens, and is told at once."""
        with self._switching:
            self.on = on
            self._subscribe(wanted=on)
            if on:
                self._courier.need()

    def _rest(self, *, resting: bool) -> None:
        """Nobody listens, or somebody may again."""
        with self._switching:
            self._subscribe(wanted=self.on and not resting)

    def _subscribe(self, *, wanted: bool) -> None:
        if wanted == self._subscribed:
            return
        self._subscribed = wanted
        self._private = frozenset(self._find_private())
        change = self._emitter.subscribe if wanted else self._emitter.unsubscribe
        for event_type in self._types:
            change(event_type, self._receive)

    def stop(self) -> None:
        """Send what waits, if that can be done soon, and leave."""
        self.switch(on=False)
        self._courier.stop()
        self._courier.join(LAST)

    def _receive(self, event: TaskEvent) -> None:
        if event.private or event.name in self._private:
            return
        waiting = self._waiting
        if len(waiting) == KEPT:
            self._lost += 1
        waiting.append((self._clock.forward(), event))
        self._courier.hurry(full=len(waiting) >= LIST)

    def _take(self) -> list[tuple[int, Event]]:
        """What waits, at most one list."""
        if self._lost and time.monotonic() > self._complained_at + COMPLAIN_AGAIN:
            self._complained_at = time.monotonic()
            lost, self._lost = self._lost, 0
            logger.warning("Monitors were not told of %d events: they could not be sent", lost)
        waiting = self._waiting
        return [waiting.popleft() for _ in range(min(LIST, len(waiting)))]


class _Courier(Service):
    """The thread that publishes; begins when it is first needed."""

    name = "events"

    def __init__(
        self,
        *,
        take: Callable[[], list[tuple[int, Event]]],
        rest: Callable[..., None] | None,
        publish: Callable[..., int | None],
        node: str,
        quiet: AbstractContextManager[object],
    ) -> None:
        super().__init__()
        self._take = take
        self._rest = rest
        self._publish = publish
        self._headers = {"hostname": node}
        self._quiet = quiet
        #: How many heard the last list; None: nobody can know.
        self._heard: int | None = None
        self._news = threading.Event()
        self._full = threading.Event()
        #: A list that could not be sent.
        self._unsent: list[Fields] = []

    def need(self) -> None:
        """There will be something to send."""
        if self._thread is None:
            self.start()

    def hurry(self, *, full: bool) -> None:
        """Something waits; ``full``: a whole list."""
        if not self._news.is_set():
            self._news.set()
        if full and not self._full.is_set():
            self._full.set()

    def stop(self) -> None:
        super().stop()
        self._full.set()
        self._news.set()

    def run(self) -> None:
        sent_at = 0.0
        while not self.stopping:
            self._news.wait()
            self._full.wait(max(FIRST, sent_at + BETWEEN - time.monotonic()))
            self._news.clear()
            self._full.clear()
            while not self._send() and not self.stopping:
                self._stopping.wait(TRY_AGAIN)
            sent_at = time.monotonic()
            if self._heard == 0 and self._rest is not None:
                self._rest(resting=True)
                self._stopping.wait(UNHEARD)
                self._rest(resting=False)
        self._send()

    def _send(self) -> bool:
        """Everything; False when the server does not take it."""
        while self._unsent or (waiting := self._take()):
            self._unsent = self._unsent or self._written(waiting)
            try:
                with self._quiet:
                    self._heard = self._publish(self._unsent, self._headers, LAST)
            except OperationalError as error:
                logger.debug("%s", error)
                return False
            except Exception:
                logger.exception("%d events could not be told", len(self._unsent))
            self._unsent = []
        return True

    def _written(self, waiting: list[tuple[int, Event]]) -> list[Fields]:
        hostname, pid, offset = self._headers["hostname"], os.getpid(), utcoffset()
        return [
            stamped(
                *told,
                hostname=hostname,
                pid=pid,
                clock=clock,
                offset=offset,
                timestamp=event.timestamp,
            )
            for clock, event in waiting
            if (told := fields_of(event)) is not None
        ]
