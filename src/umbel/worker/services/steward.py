"""Keeps the loans of this worker alive and takes back those of the dead.

One thread in the supervisor (or beside a solo worker). It beats for every child, because only the
supervisor knows that they live: a task that holds its process's interpreter for minutes keeps its
loan. (Not so in a solo worker, whose interpreter this thread shares.) It rescues children that died
at once, and other workers' consumers after the heartbeat limit.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from umbel.backends.base import ResultBackend
from umbel.brokers.base import Broker
from umbel.events.emitter import Emitter
from umbel.events.types import BrokerBack, BrokerLost
from umbel.exceptions import NotRegistered, OperationalError
from umbel.message.record import ResultRecord
from umbel.service import Service
from umbel.signals import heartbeat_sent
from umbel.worker.rescue import Cause, Death, Rescuer, failure_record

__all__ = ["Steward"]

logger = logging.getLogger("umbel.worker")

_TRY_AGAIN = 0.5
#: How often old parked messages are looked for, in heartbeat intervals.
_PARKED_EVERY = 6
#: Results of expired messages that are kept while they cannot be stored.
_UNSTORED = 10_000


class Steward(Service):
    """``living`` gives the consumer ids of this worker's processes. ``bury`` may be called from
    any thread; ``quiet`` is held while the broker is being talked to (do not fork then)."""

    name = "steward"

    def __init__(
        self,
        *,
        broker: Broker,
        records: ResultBackend | None,
        rescuer: Rescuer,
        emitter: Emitter,
        living: Callable[[], list[str]],
        interval: float,
        limit: float,
        parked_limit: float,
        ttl: float | None,
    ) -> None:
        super().__init__()
        self.broker = broker
        self.records = records
        self.rescuer = rescuer
        self.emitter = emitter
        self.living = living
        self.interval = interval
        self.limit = limit
        self.parked_limit = parked_limit
        self.ttl = ttl
        self.quiet = threading.Lock()
        self.connected = False
        self._deaths: deque[Death] = deque()
        self._news = threading.Event()
        self._suspects: dict[str, Any] = {}
        self._rounds = 0
        self._unstored: deque[ResultRecord] = deque(maxlen=_UNSTORED)

    def bury(self, death: Death) -> None:
        """Take the loans of this consumer back as soon as the broker answers."""
        self._deaths.append(death)
        self._news.set()

    @property
    def idle(self) -> bool:
        """Whether every death reported so far has been dealt with."""
        return not self._deaths

    def stop(self) -> None:
        super().stop()
        self._news.set()

    def run(self) -> None:
        beat_at = look_at = 0.0
        while not self.stopping:
            if time.monotonic() >= beat_at:
                pause = self.interval if self._beat() else min(_TRY_AGAIN, self.interval)
                beat_at = time.monotonic() + pause
            buried = self._bury_all()
            if self.connected and time.monotonic() >= look_at:
                look_at = time.monotonic() + self.interval
                self._try(self._rescue_silent)
                self._try(self._expire_parked)
                self._try(self._store_expired)
            pause = max(0.0, beat_at - time.monotonic())
            if not buried:
                # What could not be buried waits for the store to come back, not for news.
                self._stopping.wait(min(_TRY_AGAIN, pause))
            elif not self._deaths and self._news.wait(pause):
                self._news.clear()
        self._try(self._store_expired)

    def _beat(self) -> bool:
        """First of all duties: without it, others take away what our children work on."""
        try:
            with self.quiet:
                self.broker.beat([consumer_id for consumer_id in self.living() if consumer_id])
        except OperationalError as error:
            self._lost(error)
            return False
        self._found()
        if heartbeat_sent.receivers:
            heartbeat_sent.send(sender=self)
        return True

    def _bury_all(self) -> bool:
        """False when some could not be buried."""
        all_buried = True
        for _ in range(len(self._deaths)):
            death = self._deaths[0]
            buried = self._try(partial(self.rescuer.settle, death))
            self._deaths.popleft()
            if not buried:
                self._deaths.append(death)
                all_buried = False
        return all_buried

    def _try(self, duty: Callable[[], object]) -> bool:
        """Do it; what goes wrong must not stop the other duties."""
        try:
            with self.quiet:
                duty()
        except OperationalError as error:
            logger.debug("%s", error)
        except Exception:
            logger.exception("The steward could not do one of its duties")
        else:
            return True
        finally:
            self._tell()
        return False

    def _tell(self) -> None:
        """Code of the project hears of it: not while it is quiet, for it may take its time."""
        try:
            self.rescuer.tell()
        except Exception:
            logger.exception("The end of a task could not be told")

    def _rescue_silent(self) -> None:
        """Consumers that were silent at the last look and still are. A single look would condemn
        every living worker after the server itself had been away for longer than the limit."""
        silent = self.broker.silent(self.limit)
        for consumer_id, value in silent.items():
            if self._suspects.get(consumer_id) == value:
                self._rescue_one(Death(consumer_id=consumer_id, cause=Cause.SILENT))
        self._suspects = silent

    def _rescue_one(self, death: Death) -> None:
        """What is wrong with the loans of one consumer does not keep those of others."""
        try:
            self.rescuer.settle(death)
        except OperationalError:
            raise
        except Exception:
            logger.exception("The loans of %s could not be taken back", death.consumer_id)

    def _expire_parked(self) -> None:
        self._rounds += 1
        if self._rounds % _PARKED_EVERY != 1:
            return
        expired = self.broker.admin.expire_parked(self.parked_limit)
        self._unstored += [
            failure_record(message.id, NotRegistered(message.task), self.ttl, name=message.task)
            for message in expired
            if not message.headers.get("ignore_result")
        ]

    def _store_expired(self) -> None:
        """Their messages have been moved already: what cannot be stored now is tried again."""
        if self._unstored and self.records is not None:
            self.records.store_many(list(self._unstored))
        self._unstored.clear()

    def _lost(self, error: OperationalError) -> None:
        self._suspects = {}
        if self.connected:
            self.connected = False
            self.emitter.emit(BrokerLost(url=self.broker.display_url, reason=str(error)))

    def _found(self) -> None:
        if not self.connected:
            self.connected = True
            self.emitter.emit(BrokerBack(url=self.broker.display_url))
