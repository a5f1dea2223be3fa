"""A consumer of a memory broker, and how it sleeps: on a pipe that publishers write to.

The pipe is there because ``wait`` must watch file descriptors of others too.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import count
from typing import TYPE_CHECKING

from umbel.brokers.base import Consumer, Delivery, Exchange, RecordStore, Settlement, Verdict
from umbel.brokers.memory.store import Loan, MessageStore, Seat, Stored
from umbel.message import protocol
from umbel.message.message import DELIVERIES
from umbel.waker import Waker, readable

if TYPE_CHECKING:
    from umbel.brokers.memory.broker import MemoryBroker, Prepared

__all__ = ["MemoryConsumer"]

_numbers = count(2)


class MemoryConsumer(Consumer):
    """Lends messages of one store to one process."""

    def __init__(
        self, broker: MemoryBroker, queues: Sequence[str], seat_id: str, records: RecordStore | None
    ) -> None:
        self._broker = broker
        self._store: MessageStore = broker.store
        self._queues = tuple(dict.fromkeys(queues))
        self._records = records
        self._joined = records is not None and broker.joins(records)
        self._name = seat_id
        self._waker = Waker()
        with self._store.lock:
            self._seat = self._sit_down(seat_id)

    def _sit_down(self, seat_id: str) -> Seat:
        heard = self._broker.clock.monotonic()
        seat = Seat(id=seat_id, queues=self._queues, heard=heard, wake=self._waker.set)
        if not self._store.register(seat):
            return self._sit_down(f"{self._name}~{next(_numbers)}")
        self.id = seat_id
        return seat

    def exchange(self, settlements: Sequence[Settlement], limit: int) -> Exchange:
        follow_ups = [self._broker.prepare(settlement.publish) for settlement in settlements]
        if self._records is not None and not self._joined:
            self._keep_elsewhere(settlements)
        with self._store.lock:
            self._find_seat()
            if self._joined:
                self._keep_records(self._held(settlements))
            refused = self._settle(settlements, follow_ups)
            loans = self._take(limit)
            parked, revocations = bool(self._store.parked), self._store.revocations
        return Exchange([self._delivery(loan) for loan in loans], refused, parked, revocations)

    def _find_seat(self) -> None:
        """Register anew when this consumer has been declared dead."""
        if self._store.seats.get(self.id) is not self._seat or self._seat.dead:
            self._seat = self._sit_down(f"{self._name}~{next(_numbers)}")

    def _take(self, limit: int) -> list[Loan]:
        self._store.promote(self._queues, self._broker.clock.now())
        return self._store.take(self._seat, limit)

    # Settling -------------------------------------------------------------------------------------

    def _held(self, settlements: Sequence[Settlement]) -> list[Settlement]:
        """Those that will not be refused: one for each loan that has not ended."""
        loans = self._store.loans
        first: dict[str, Settlement] = {}
        for settlement in settlements:
            loan = settlement.delivery.loan
            if loan in loans:
                first.setdefault(loan, settlement)
        return list(first.values())

    def _keep_elsewhere(self, settlements: Sequence[Settlement]) -> None:
        """Without the lock, since this may be another server."""
        with self._store.lock:
            held = self._held(settlements)
        self._keep_records(held)

    def _keep_records(self, settlements: Sequence[Settlement]) -> None:
        records = [one.record for one in settlements if one.record is not None]
        if records and self._records is not None:
            self._records.store_many(records)

    def _settle(
        self, settlements: Sequence[Settlement], follow_ups: Sequence[Sequence[Prepared]]
    ) -> list[Settlement]:
        refused: list[Settlement] = []
        released: list[Stored] = []
        for settlement, messages in zip(settlements, follow_ups, strict=True):
            stored = self._store.end(settlement.delivery.loan)
            if stored is None:
                refused.append(settlement)
                continue
            self._dispose(settlement, stored, released)
            self._broker.keep(messages)
        self._store.give_back(released)
        return refused

    def _dispose(self, settlement: Settlement, stored: Stored, released: list[Stored]) -> None:
        """Do with the message what the verdict says; what goes to the front is collected."""
        now = self._broker.clock.now()
        if settlement.verdict is Verdict.RELEASE:
            if settlement.counted:
                stored = _counted(stored)
            if settlement.delay > 0:
                self._store.put(stored, due=now + settlement.delay)
            else:
                released.append(stored)
        elif settlement.verdict is Verdict.REJECT:
            self._store.bury(stored, settlement.reason, now)
            self._broker.trim_dead()
        elif settlement.verdict is Verdict.PARK:
            self._store.park(stored, now)

    # Loans ----------------------------------------------------------------------------------------

    def unpark(self, tasks: Collection[str], limit: int) -> list[Delivery]:
        loans: list[Loan] = []
        with self._store.lock:
            self._find_seat()
            queues = [queue for queue in self._queues if queue not in self._store.paused]
            for task in [name for name in self._store.parked if name in tasks]:
                while len(loans) < limit:
                    stored = self._store.unpark(task, queues)
                    if stored is None:
                        break
                    loans.append(self._store.lend(stored, self._seat, parked_before=True))
        return [self._delivery(loan) for loan in loans]

    def lent(self) -> list[Delivery]:
        with self._store.lock:
            loans = list(self._seat.loans.values())
        return [self._delivery(loan) for loan in loans]

    @staticmethod
    def _delivery(loan: Loan) -> Delivery:
        stored = loan.stored
        message, problem = protocol.read_message(stored.raw, stored.queue)
        return Delivery(
            loan=loan.id,
            queue=stored.queue,
            raw=stored.raw,
            message=message,
            problem=problem,
            parked_before=loan.parked_before,
        )

    # Waiting --------------------------------------------------------------------------------------

    def wait(self, timeout: float, fds: Collection[int] = ()) -> None:
        with self._store.lock:
            now = self._broker.clock.now()
            self._store.promote(self._queues, now)
            if self._store.any_ready(self._queues):
                return
            due = self._store.next_due(self._queues)
            self._seat.waiting = True
        if due is not None:
            timeout = min(timeout, due - now)
        try:
            readable((self._waker.fd, *fds), timeout)
            self._waker.clear()
        finally:
            self._seat.waiting = False

    def close(self) -> None:
        with self._store.lock:
            self._store.sign_off(self._seat)
        self._waker.close()


class Heir(MemoryConsumer):
    """Stands in for a consumer that was declared dead: settles, and takes nothing new."""

    def _sit_down(self, seat_id: str) -> Seat:
        self.id = seat_id
        seat = self._store.seats.get(seat_id)
        heard = self._broker.clock.monotonic()
        if seat is None:  # it signed off, or somebody else has finished this already
            seat = Seat(id=seat_id, queues=(), heard=heard, wake=self._waker.set)
        # From now on it counts as silent only when this rescue takes too long as well.
        seat.dead, seat.heard, seat.beats = True, heard, seat.beats + 1
        return seat

    def _find_seat(self) -> None:
        pass

    def _take(self, limit: int) -> list[Loan]:  # noqa: ARG002 - a dead consumer takes nothing
        return []


def _counted(stored: Stored) -> Stored:
    """The same message after one delivery more."""
    message, _ = protocol.read_message(stored.raw, stored.queue)
    if message is None:
        return stored  # nothing to count in
    headers = {DELIVERIES: message.deliveries + 1, "redelivered": True}
    raw = protocol.encode(protocol.resend(message, headers=headers))
    return Stored(raw, stored.queue, stored.priority, stored.id, stored.task)
