"""One process's share of the queues in an SQL database: lends, settles, waits.

An exchange that has nothing to settle only reads, unless there is something to take: idle workers
do not fight for the database. The rest is one statement (``step.py``), or two ways around it when
that was refused. A consumer whose last exchange was interrupted first finds out what became of it.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Collection, Sequence
from contextlib import suppress

import msgspec

from umbel.brokers.base import Consumer, Delivery, Exchange, RecordStore, Settlement, Verdict
from umbel.brokers.sql.queries import Queries, QueueQueries
from umbel.brokers.sql.rows import TOPIC, deliver, name_loan, parse_loan, rows_of
from umbel.brokers.sql.settling import Settler
from umbel.brokers.sql.step import DUE, REFUSED, Turn, in_order, make_step
from umbel.drivers.sql.base import JoinedStore, Session, SqlDriver, StatementRefused, Values
from umbel.drivers.sql.batch import LONGEST
from umbel.exceptions import OperationalError

__all__ = ["SqlConsumer"]

#: Bits of the numbers that are drawn at random; they fit a 64-bit column with room to count up.
_BITS = 62
#: Seconds between two rounds of housekeeping.
_TIDY_EVERY = 1.0
#: Things done in one step, besides taking.
_MOST = LONGEST - 1


class SqlConsumer(Consumer):
    """Made by ``SqlBroker``; ``number`` is given for one that is being adopted."""

    def __init__(
        self,
        driver: SqlDriver,
        queries: Queries,
        settler: Settler,
        *,
        consumer_id: str,
        queues: Sequence[str] = (),
        records: RecordStore | None = None,
        number: int | None = None,
    ) -> None:
        self.id = consumer_id
        self._driver = driver
        self._queries = queries
        self._settler = settler
        self._queues = list(dict.fromkeys(queues))
        #: A store in another place, which is written before a loan ends.
        self._elsewhere = records if settler.store is None else None
        self._store: JoinedStore | None = settler.store
        twice = [name for name in self._queues for name in (name, name)]
        self._look_values = (*twice, *self._queues)
        self._of_queues = QueueQueries(driver.dialect, len(self._queues))
        self._step = make_step(driver.dialect, len(self._queues), self._store)
        self._adopted = number is not None
        #: Names a turn of taking; never the same for two turns, also of the same consumer number.
        self._loan = secrets.randbits(_BITS)
        self._next_queue = 0
        #: Loans that were handed out and not settled.
        self._held: set[str] = set()
        #: What the present exchange hands out and tries to settle. It stays unfinished when it is
        #: left by an error, whenever that comes.
        self._handed: list[str] = []
        self._attempted: set[str] = set()
        self._unfinished = False
        #: An exchange was interrupted: loans may be unknown to the caller, and these may be settled.
        self._interrupted = False
        self._doubtful: set[str] = set()
        #: Whether the caller asked for messages, and may not know of some that are there.
        self._wants = self._curious = True
        #: Whether this consumer changed something since the watch was marked.
        self._changed = False
        self._due: int | None = None
        #: How often tasks were revoked, as of the last look.
        self._revocations = 0
        self._tidy_at = time.monotonic() + _TIDY_EVERY
        self._closed = False
        self._number = self._register() if number is None else number
        self._watch = driver.watch(TOPIC)

    # Settling and taking --------------------------------------------------------------------------

    def exchange(self, settlements: Sequence[Settlement], limit: int) -> Exchange:
        if self._unfinished:
            self._interrupted = True
            self._held.difference_update(self._handed)
            self._doubtful |= self._attempted
        self._handed = []
        self._attempted = {one.delivery.loan for one in settlements}
        self._unfinished = True
        exchange = self._exchange(settlements, limit)
        self._unfinished = False
        return exchange

    def _exchange(self, settlements: Sequence[Settlement], limit: int) -> Exchange:
        self._wants = self._curious = limit > 0
        found = self._find_again(limit) if self._interrupted else []
        limit -= len(found)
        if not settlements:
            parked = self._idle(limit)
            if parked is not None:
                return Exchange(found, [], parked, self._revocations)
        self._changed, self._curious = True, self._wants
        self._store_elsewhere(settlements)
        quick, slow = self._sort(settlements)
        refused = self._settle(slow)
        *parts, last = _parts(quick)
        for part in parts:
            self._run(part, refused, 0)
        turn = self._run(last, refused, limit)
        deliveries, parked = self._taken(turn)
        self._held.difference_update(one.delivery.loan for one in settlements)
        self._tidy(idle=False)
        handed = [*found, *self._hand_out(deliveries)]
        return Exchange(handed, refused, parked, self._revocations)

    def _idle(self, limit: int) -> bool | None:
        """Whether any message is parked, when that is all there is to say; else None."""
        dead, ready, parked = self._look()
        if dead != 0 and not self._adopted:
            self._register_anew()
        self._tidy(idle=True)
        return None if limit > 0 and (ready or self._is_due()) else parked

    def _look(self) -> tuple[int | None, bool, bool]:
        """Dead (0: no; None: not registered), ready, parked: all that was committed by now."""
        with self._driver.session() as session:
            self._mark()
            values = (self._number, self.id, *self._look_values)
            ((dead, ready, self._due, parked, revocations),) = session.fetch(
                self._of_queues.look, values
            )
        self._curious = False
        self._revocations = int(revocations or 0)
        return dead, bool(ready), bool(parked)

    def _mark(self) -> None:
        self._watch.mark()
        self._changed = False

    def _is_due(self) -> bool:
        return self._due is not None and self._due <= self._driver.now()

    def _store_elsewhere(self, settlements: Sequence[Settlement]) -> None:
        """Keep records that cannot be kept in the same step, of loans that have not ended."""
        if self._elsewhere is not None and any(one.record is not None for one in settlements):
            held = self._settler.held(settlements)
            records = [one.record for one in held if one.record is not None]
            if records:
                self._elsewhere.store_many(records)

    def _sort(
        self, settlements: Sequence[Settlement]
    ) -> tuple[Sequence[Settlement], Sequence[Settlement]]:
        """Those for the quick step, and those for the transaction that goes before it."""
        if len(self._attempted) < len(settlements) or self._attempted & self._doubtful:
            return [], settlements
        slow = [one for one in settlements if not _is_quick(one)]
        return [one for one in settlements if _is_quick(one)] if slow else settlements, slow

    def _settle(self, settlements: Sequence[Settlement]) -> list[Settlement]:
        """End these loans one by one; those that were refused."""
        if not settlements:
            return []
        owner = (self._number, self.id)
        refused = self._settler.settle(settlements, self._doubtful, owner)
        self._doubtful.difference_update(one.delivery.loan for one in settlements)
        return refused

    def _run(self, quick: Sequence[Settlement], refused: list[Settlement], limit: int) -> Turn:
        """Acknowledge and take in one step. Settlements that could not be are added to
        ``refused``."""
        while True:
            turn = self._make_turn(quick, limit)
            if not turn:
                return turn
            try:
                with self._driver.session() as session:
                    self._step.run(session, turn)
            except StatementRefused as refusal:
                reason = str(refusal)
                if reason == DUE:
                    self._promote()
                    continue
                refused += self._settle(quick)
                quick = ()
                if reason != REFUSED:
                    self._register_anew()
            else:
                return turn

    def _make_turn(self, quick: Sequence[Settlement], limit: int) -> Turn:
        now = self._driver.now()
        self._loan += 1
        records: Sequence[Values] = ()
        if self._store is not None:
            quick = sorted(quick, key=lambda one: one.record is None)
            kept = [one.record for one in quick if one.record is not None]
            records = self._store.rows(kept)
        return Turn(
            number=self._number,
            consumer=None if self._adopted else self.id,
            loan=self._loan,
            now=now,
            acked=[parse_loan(one.delivery.loan) for one in quick],
            records=records,
            messages=rows_of((message for one in quick for message in one.publish), now),
            quantity=max(0, limit) if self._queues else 0,
            queues=self._queues[self._next_queue :] + self._queues[: self._next_queue],
        )

    def _promote(self) -> None:
        """Make due messages ready, in the order of their moments."""
        queues = msgspec.json.encode(self._queues).decode()
        with self._driver.session() as session:
            session.execute(self._of_queues.promote, (queues, self._driver.now()))

    def _taken(self, turn: Turn) -> tuple[list[Delivery], bool]:
        """What this turn has taken, in the order in which it is to run, and whether any message is
        parked."""
        with self._driver.session() as session:
            rows, parked, self._revocations = self._step.taken(session, turn)
            if rows is None:
                rows = [
                    (priority, row, queue, raw)
                    for _, row, queue, raw, priority in session.fetch(
                        self._queries.taken, (turn.number, turn.loan)
                    )
                ]
        deliveries = [
            deliver(name_loan(turn.number, turn.loan, row), queue, raw)
            for _, row, queue, raw in in_order(rows, turn.queues)
        ]
        if deliveries:
            self._next_queue = (self._queues.index(deliveries[-1].queue) + 1) % len(self._queues)
        return deliveries, parked

    # Waiting --------------------------------------------------------------------------------------

    def wait(self, timeout: float, fds: Collection[int] = ()) -> None:
        if self._curious:
            dead, ready, _ = self._look()
            if ready or (dead != 0 and not self._adopted):
                return
        elif self._changed:
            self._mark()
        if self._wants and self._due is not None:
            timeout = min(timeout, max(0.0, (self._due - self._driver.now()) / 1000))
        self._watch.wait(timeout, fds)
        if self._is_due():
            self._due = None  # told once, as every news

    # Loans ----------------------------------------------------------------------------------------

    def unpark(self, tasks: Collection[str], limit: int) -> list[Delivery]:
        names = msgspec.json.encode(list(tasks)).decode()
        wanted = (names, msgspec.json.encode(self._queues).decode(), limit)
        with self._driver.session() as session:
            if not session.fetch(self._queries.find_parked, wanted):
                return []
        while not self._unpark(wanted):
            self._register_anew()
        return self._hand_out(self._lent_by(self._loan))

    def _unpark(self, wanted: tuple[str, str, int]) -> bool:
        """Take them in a new turn; False when this consumer is not registered any more."""
        self._loan += 1
        with self._driver.transaction() as session:
            if not session.fetch(self._queries.alive, (self._number, self.id)):
                return False
            rows = session.fetch(self._queries.find_parked, wanted)
            found = msgspec.json.encode([row for (row,) in rows]).decode()
            values = (self._number, self._loan, self._driver.now(), found)
            session.execute(self._queries.unpark, values)
        return True

    def lent(self) -> list[Delivery]:
        return self._hand_out(self._lent_by())

    def _lent_by(self, turn: int | None = None) -> list[Delivery]:
        """What the database says is lent to this consumer, or was by this turn."""
        with self._driver.session() as session:
            rows = session.fetch(self._queries.lent, (self._number,))
        return [
            deliver(name_loan(self._number, loan, row), queue, raw, note)
            for loan, row, queue, raw, note in rows
            if turn is None or loan == turn
        ]

    def _hand_out(self, deliveries: list[Delivery]) -> list[Delivery]:
        self._handed += [delivery.loan for delivery in deliveries]
        self._held.update(self._handed)
        return deliveries

    def _find_again(self, limit: int) -> list[Delivery]:
        """Loans that an interrupted exchange took and did not hand out."""
        unknown = [one for one in self._lent_by() if one.loan not in self._held]
        self._interrupted = len(unknown) > limit
        return self._hand_out(unknown[: max(0, limit)])

    # Signing in and off ---------------------------------------------------------------------------

    def _register(self) -> int:
        """Make this consumer known under its id, or a new id if that one was declared dead. An
        earlier one of the same id that did not sign off is signed off now."""
        queries, now = self._queries, self._driver.now()
        about = (msgspec.json.encode(self._queues).decode(), now, socket.gethostname(), os.getpid())
        number = 1 + secrets.randbits(_BITS)
        with self._driver.transaction() as session:
            session.execute(queries.attend)
            for earlier, dead in session.fetch(queries.find_consumer, (self.id,)):
                if dead:
                    self.id = self._another_id()
                else:
                    self._sign_off(session, earlier)
            session.execute(queries.register, (number, self.id, *about, now))
        return number

    def _another_id(self) -> str:
        return f"{self.id.partition('+')[0]}+{secrets.token_hex(4)}"

    def _sign_off(self, session: Session, number: int) -> None:
        session.execute(self._queries.release_all, (number,))
        session.execute(self._queries.sign_off, (number,))
        self._driver.announce(session, TOPIC)

    def _register_anew(self) -> None:
        """After this consumer was declared dead: another id, so that no one mistakes it for the
        one whose loans were taken back."""
        self.id = self._another_id()
        self._number = self._register()

    def close(self) -> None:
        try:
            if not self._closed:
                with self._driver.transaction() as session:
                    self._sign_off(session, self._number)
                self._closed = True
        finally:
            self._watch.close()

    def _tidy(self, *, idle: bool) -> None:
        now = time.monotonic()
        if now < self._tidy_at:
            return
        self._tidy_at = now + _TIDY_EVERY
        with suppress(OperationalError):
            if self._store is not None:
                self._store.tidy()
            if idle:
                self._driver.reclaim()


def _is_quick(settlement: Settlement) -> bool:
    return settlement.verdict is Verdict.ACK and len(settlement.publish) < _MOST


def _parts(settlements: Sequence[Settlement]) -> list[Sequence[Settlement]]:
    """The settlements in parts for one step each; at least one part."""
    if sum(1 + len(one.publish) for one in settlements) <= _MOST:
        return [settlements]
    parts: list[list[Settlement]] = [[]]
    size = 0
    for one in settlements:
        size += 1 + len(one.publish)
        if size > _MOST:
            parts.append([])
            size = 1 + len(one.publish)
        parts[-1].append(one)
    return list(parts)
