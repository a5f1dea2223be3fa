"""The loop that moves messages between the broker and the slots; one loop for every pool.

turn:  settle what ended and take what there is room for  (one round trip)
       look at each delivery: refuse it, park it, or submit it
       run what was submitted, with pools that have no threads of their own
       rest until a slot has news, a message may be there, or the supervisor speaks
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from umbel.brokers.base import (
    Broker,
    Delivery,
    Exchange,
    RecordStore,
    Settlement,
    Verdict,
)
from umbel.exceptions import OperationalError
from umbel.waker import readable
from umbel.worker.acknowledgement import Acknowledgement
from umbel.worker.aftermath import Aftermath
from umbel.worker.batch import AHEAD, BatchSize
from umbel.worker.job import Job
from umbel.worker.line import Line, Order
from umbel.worker.orphan import OwnHeartbeat
from umbel.worker.outage import Outage
from umbel.worker.pools.base import Pool
from umbel.worker.reception import Reception
from umbel.worker.revoked import Revoked
from umbel.worker.seat import Seat
from umbel.worker.unwritable import written_alone
from umbel.worker.wear import Wear

__all__ = ["ConsumerLoop"]

logger = logging.getLogger("umbel.worker")

#: Seconds a finished job may wait before it is settled.
SETTLE_WITHIN = 0.02
#: Seconds after which messages that wait behind a running job are given back.
GIVE_BACK_AFTER = 0.25
#: Seconds between looks for parked messages, and at whether the supervisor still lives.
LOOK_EVERY = 1.0


class ConsumerLoop:
    """One process's share of the queues. ``acknowledge`` may be called from slots, ``tend`` by the
    guardian; the rest belongs to the thread that calls ``run``."""

    def __init__(
        self,
        *,
        broker: Broker,
        records: RecordStore | None,
        queues: Sequence[str],
        consumer_id: str,
        reception: Reception,
        pool: Pool,
        batch: BatchSize,
        line: Line,
        revoked: Revoked,
        obey: Callable[[Order], Any] | None = None,
        wear: Wear | None = None,
        watch: Callable[[], None] | None = None,
    ) -> None:
        self.broker = broker
        self.reception = reception
        self.pool = pool
        self.batch = batch
        self.line = line
        self.revoked = revoked
        #: Carries out what the supervisor says, but for leaving.
        self._carry_out = obey
        self.wear = wear
        #: Called before jobs run in this thread that others will wait for.
        self._watch = watch
        #: Held by this thread, except while it runs jobs and somebody watches over it.
        self._lock = threading.RLock()
        self.seat = Seat(broker, records, queues, consumer_id, line)
        self.waker, self.sleep, self.outage = self.seat.waker, self.seat.sleep, self.seat.outage
        self._heartbeat = OwnHeartbeat(broker, self.outage)
        #: While what remains of early acknowledged jobs cannot be stored or sent.
        self._late_outage = Outage(self.outage.broker, self.outage.results, line)
        #: Settlements not yet accepted by the broker.
        self._ended: deque[Settlement] = deque()
        self.aftermath = Aftermath(broker, records)
        self._urgent: deque[Acknowledgement] = deque()
        self._submitted = 0
        self._finished = 0
        #: Jobs that ran to their end in this process.
        self._ran = 0
        self._wake_at = 0
        #: Monotonic moment since which jobs have kept this thread; 0: none do.
        self._running_since = 0.0
        #: There were parked messages at the last exchange.
        self._parked = False
        self._look_at = 0.0
        self._draining = False
        self._thread = 0

    # The life of the loop ---------------------------------------------------------------------

    def run(self) -> None:
        """Until drained: then every loan is settled or given back."""
        self._thread = threading.get_ident()
        self.pool.start(self._done)
        with self._lock:
            if self.seat.open(self._goes_on):
                self._obey()  # what was said while it started
                while not self._drained():
                    self._turn()
                self.close()
        self.pool.stop()

    def acknowledge(self, delivery: Delivery) -> bool:
        """End this loan before its job runs; False when it was taken back before. Blocks."""
        wish = Acknowledgement(delivery)
        self._urgent.append(wish)
        if threading.get_ident() == self._thread:
            with self._lock:
                while not wish.answered.is_set():
                    self._exchange([], 0)
                    self._obey()
        else:
            self.waker.set()
            wish.answered.wait()
        return wish.accepted

    def take_from(self, queues: Sequence[str]) -> None:
        """Take messages of these queues from now on; what is held comes to its end first."""
        self.seat.take_from(queues)
        self.waker.set()

    def _goes_on(self) -> bool:
        self._obey()
        return not self._draining

    def _change_queues(self) -> bool:
        """When nothing is held. False: it was told to leave meanwhile."""
        self._give_back()
        if self._submitted != self._finished or self._ended:
            return True
        return self.seat.change(self._goes_on)

    def _turn(self) -> None:
        if not self._settle_aftermath():
            self._give_back()  # who knows how long that takes; and their own would only be added
        ended = self._take_ended()
        if self.seat.changing and not self._change_queues():
            return
        if self._parked:
            self._unpark(self._room(len(ended)))
        exchange = self._exchange(ended, self._room(len(ended)))
        if exchange is not None:
            self._parked = exchange.parked
            for delivery in exchange.deliveries:
                self._receive(delivery)
        if not self._run_inline() and exchange is not None:  # else there was a pause already
            self._rest()
        self._obey()
        self._give_back_late()

    def _run_inline(self) -> bool:
        """With pools that have no threads, run jobs here until something should be settled; True:
        some wait."""
        waiting = self.pool.waiting()
        if not waiting:
            return False
        if self._watch is None:
            return self._run_waiting()
        if waiting + self._pending() > 1:
            self._watch()
        self._running_since = time.monotonic()
        self._lock.release()
        try:
            return self._run_waiting()
        finally:
            self._lock.acquire()
            self._running_since = 0.0

    def _run_waiting(self) -> bool:
        began = time.monotonic()
        while not (self._exhausted() or self.aftermath) and self.pool.run_next():
            if time.monotonic() - began > SETTLE_WITHIN:
                return True
        return False

    def busy(self) -> float:
        """Seconds for which jobs have kept this loop's thread; 0: it is not running any."""
        since = self._running_since
        return time.monotonic() - since if since else 0.0

    def tend(self) -> bool:
        """While a job keeps this loop's thread busy, from another one: settle what ended before it,
        give back what waits behind it, obey. True: something may wait again soon."""
        with self._lock:
            if not self._running_since:
                return False
            self._obey()
            self._give_back_late()
            if self._ended:
                self._exchange(self._take_ended(), 0)
            return bool(self.pool.waiting() + self._pending())

    def close(self) -> None:
        """Leave; what was not settled goes back to its queue."""
        self.seat.close()

    # Settling and receiving ---------------------------------------------------------------------

    def _exchange(self, ended: list[Settlement], limit: int) -> Exchange | None:
        wishes = list(self._urgent)
        settlements = [*ended, *(wish.settlement for wish in wishes)]
        try:
            exchange = self.seat.consumer.exchange(settlements, limit)
        except OperationalError as error:
            self._ended.extendleft(reversed(ended))
            self.outage.lost(error)
            return None
        except Exception:
            logger.exception("An exchange with %s failed", self.broker.display_url)
            if not ended:
                readable((self.line.fd,), LOOK_EVERY)
            # If it is one of these that cannot be written, it is found when each goes alone.
            self._ended.extendleft(
                written_alone(self.seat.consumer, one) for one in reversed(ended)
            )
            return None
        self.outage.back()
        if exchange.revocations != self.revoked.version:
            self.revoked.note(exchange.revocations)
        self._finished += len(ended)
        self.line.place.count(self._ran)
        refused = {settlement.delivery.loan for settlement in exchange.refused}
        for wish in wishes:
            self._urgent.remove(wish)
            wish.answer(accepted=wish.settlement.delivery.loan not in refused)
        for settlement in exchange.refused:
            if settlement.verdict is not Verdict.ACK or settlement.record is not None:
                self.reception.tell_lost(settlement)
        if self.seat.renewed():  # what had not begun runs elsewhere
            self._finished += len(self.pool.withdraw())
        return exchange

    def _receive(self, delivery: Delivery) -> None:
        self._submitted += 1
        found = self.reception.look_at(delivery)
        if isinstance(found, Job):
            self.pool.submit(found)
        else:
            self.batch.observe(0.0)
            self._ended.append(found)

    def _unpark(self, limit: int) -> None:
        now = time.monotonic()
        if now < self._look_at or self._draining:
            return
        self._look_at = now + LOOK_EVERY
        try:
            for delivery in self.seat.consumer.unpark(self.reception.tasks.keys(), limit):
                self._receive(delivery)
        except OperationalError as error:
            self.outage.lost(error)

    def _settle_aftermath(self) -> bool:
        """True when nothing is left of it."""
        try:
            while self.aftermath.settle_next():
                self._finished += 1
        except OperationalError as error:
            self._late_outage.lost(error)
            return False
        self._late_outage.back()
        return True

    # Slots ----------------------------------------------------------------------------------------

    def _done(self, job: Job, settlement: Settlement) -> None:
        self.batch.observe(job.runtime)
        self._ran += 1
        if job.acknowledged:
            self.aftermath.add(job.slot, settlement)
        else:
            self._ended.append(settlement)
        if self._wake_at and self._pending() >= self._wake_at:
            self._wake_at = 0
            self.waker.set()

    def _take_ended(self) -> list[Settlement]:
        return [self._ended.popleft() for _ in range(len(self._ended))]

    def _room(self, ending: int) -> int:
        """How many messages to ask for, when ``ending`` of those held are about to be settled."""
        if self._draining or self.aftermath or self.seat.changing or not self.seat.queues:
            return 0
        held = self._submitted - self._finished - ending
        # Behind a job that takes its time, nothing waits: another worker may be idle.
        target = self.pool.slots if self.pool.longest() > AHEAD else self.batch.target()
        if self.wear is not None:
            target = min(target, self.wear.left(self._ran))
        if held > target // 2 and held >= self.pool.slots:
            return 0  # few round trips for many messages; but no slot stays free
        return max(0, target - held)

    def _give_back_late(self) -> None:
        if self._draining or self.pool.longest() > GIVE_BACK_AFTER:
            self._give_back()

    def _give_back(self) -> None:
        for job in self.pool.withdraw():
            self._ended.append(Settlement(delivery=job.delivery, verdict=Verdict.RELEASE))

    # Resting ----------------------------------------------------------------------------------------

    def _rest(self) -> None:
        held = self._submitted - self._finished
        if not held and (self._draining or self._exhausted()):
            return
        self._wake_at = max(1, (held + 1) // 2)
        if not self._urgent and self._pending() < self._wake_at:
            quick = self._pending() or held > self.pool.slots
            timeout = SETTLE_WITHIN if quick else LOOK_EVERY
            if held < self.pool.slots and self.seat.queues and not self._draining:
                self.sleep.until(timeout, self.seat.watch)
            else:
                self.sleep.until_told(timeout)
            self.waker.clear()
        self._wake_at = 0

    def _pending(self) -> int:
        return len(self._ended) + len(self.aftermath)

    def _obey(self) -> None:
        for order in self.line.read():
            if self._carry_out is not None:
                self.line.answer(order, self._carry_out(order))
        if self.line.draining or self._exhausted():
            self._draining = True
        if self.line.orphaned:
            self._heartbeat.beat(self.seat.consumer_id)

    def _exhausted(self) -> bool:
        return self.wear is not None and self.wear.worn(self._ran)

    def _drained(self) -> bool:
        return self._draining and self._submitted == self._finished and not self._ended
