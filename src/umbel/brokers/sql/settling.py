"""Ending loans one by one, in a transaction that looks at each: the way of every verdict but a plain
acknowledgement, and of acknowledgements whose loan may have ended.

The quick way is in ``step.py``. Both leave the same rows behind.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import ceil

from umbel.brokers.base import Settlement, Verdict
from umbel.brokers.sql.queries import Queries
from umbel.brokers.sql.rows import TOPIC, parse_loan, rows_of
from umbel.drivers.sql.base import JoinedStore, Session, SqlDriver, Values
from umbel.drivers.sql.batch import chunks
from umbel.drivers.sql.schema import State
from umbel.message.message import DELIVERIES, Message
from umbel.message.protocol import encode, resend

__all__ = ["DeadLetterLimits", "Settler"]


class DeadLetterLimits:
    """How many dead letters are kept, and for how many seconds."""

    def __init__(self, count: int, max_age: float) -> None:
        self.count = count
        self.max_age = max_age

    def oldest(self, now: int) -> int:
        """The moment since which dead letters count, in milliseconds."""
        return now - ceil(min(self.max_age, 1e12) * 1000)

    def enforce(self, session: Session, queries: Queries, now: int) -> None:
        """Forget those beyond the limits."""
        oldest, last = self.oldest(now), 0
        found = session.fetch(queries.last_kept, (max(0, self.count - 1),))
        if self.count <= 0:
            oldest = now + 1
        elif found and found[0][0] >= oldest:
            ((oldest, last),) = found
        session.execute(queries.trim, (oldest, oldest, last))


class Settler:
    """Ends loans of any consumer."""

    def __init__(
        self,
        driver: SqlDriver,
        queries: Queries,
        limits: DeadLetterLimits,
        store: JoinedStore | None,
    ) -> None:
        self.driver = driver
        self.queries = queries
        self.limits = limits
        self.store = store
        self._keep_record = (
            "" if store is None else driver.dialect.adapt(store.statement(["?"] * store.width))
        )

    def held(self, settlements: Sequence[Settlement]) -> list[Settlement]:
        """Those whose loans have not ended."""
        with self.driver.session() as session:
            return [
                settlement
                for settlement in settlements
                if session.fetch(self.queries.held, parse_loan(settlement.delivery.loan))
            ]

    def settle(
        self, settlements: Sequence[Settlement], doubtful: Collection[str], owner: tuple[int, str]
    ) -> list[Settlement]:
        """End these loans, in order; returns those that were refused. An interrupted exchange may
        have ended the ``doubtful`` ones before, as they are to end now: while their owner has not
        been declared dead, nobody else can have done it."""
        packed = [self._pack(settlement) for settlement in settlements]
        refused = []
        with self.driver.transaction() as session:
            now = self.driver.now()
            if doubtful and not session.fetch(self.queries.alive, owner):
                doubtful = ()
            rejected = False
            for settlement, (records, messages) in zip(settlements, packed, strict=True):
                key = parse_loan(settlement.delivery.loan)
                if not session.fetch(self.queries.held, key):
                    if settlement.delivery.loan not in doubtful:
                        refused.append(settlement)
                    continue
                self._end(session, settlement, key[2], now)
                rejected = rejected or settlement.verdict is Verdict.REJECT
                for record in records:
                    session.execute(self._keep_record, record)
                for part in chunks(messages):
                    session.execute(*self.queries.insert.bind(part))
            if rejected:
                self.limits.enforce(session, self.queries, now)
            self.driver.announce(session, TOPIC)
        return refused

    def _pack(self, settlement: Settlement) -> tuple[list[Values], list[Values]]:
        """The rows of its record and of the messages that it sends."""
        record = settlement.record
        return (
            [] if record is None or self.store is None else self.store.rows([record]),
            rows_of(settlement.publish, self.driver.now()),
        )

    def _end(self, session: Session, settlement: Settlement, row: int, now: int) -> None:
        verdict, queries = settlement.verdict, self.queries
        if verdict is Verdict.ACK:
            session.execute(queries.forget, (row,))
        elif verdict is Verdict.RELEASE:
            if settlement.counted and settlement.delivery.message is not None:
                session.execute(queries.rewrite, (_counted(settlement.delivery.message), row))
            if settlement.delay > 0:
                moment = now + ceil(settlement.delay * 1000)
                session.execute(queries.release, (int(State.DELAYED), moment, row))
            else:
                session.execute(queries.release, (int(State.READY), None, row))
        else:
            self._keep(session, settlement, row, now)

    def _keep(self, session: Session, settlement: Settlement, row: int, now: int) -> None:
        message = settlement.delivery.message
        task_id, task = (None, None) if message is None else (message.id, message.task)
        dead = settlement.verdict is Verdict.REJECT
        state, note = (State.DEAD, settlement.reason) if dead else (State.PARKED, None)
        session.execute(self.queries.keep, (int(state), now, note, task_id, task, row))


def _counted(message: Message) -> bytes:
    """The message for another delivery after a worker died with it."""
    headers = {DELIVERIES: message.deliveries + 1, "redelivered": True}
    return encode(resend(message, headers=headers))
