"""The step that a busy worker takes over and over: acknowledge, store the results, send what
follows, and take new messages, in one statement.

One statement because a transaction of several keeps the database's only write lock while this
thread waits for the interpreter lock between them: 30 to 80 ms beside a thread that computes, half a
millisecond this way. It has an effect only if all is as expected. Otherwise it says why not, and the
consumer takes the way that looks at each settlement.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence

import msgspec

from umbel.brokers.sql.rows import COLUMNS, REVOCATIONS, LoanKey, not_paused
from umbel.drivers.sql.base import Dialect, JoinedStore, Session, Values
from umbel.drivers.sql.batch import Batch

__all__ = [
    "DUE",
    "FENCED",
    "REFUSED",
    "SqliteStep",
    "Step",
    "Taken",
    "Turn",
    "in_order",
    "make_step",
]

#: Why a step had no effect: this consumer is not registered any more, …
FENCED = "fenced"
#: … a delayed message of its queues must become ready first, …
DUE = "due"
#: … or one of the loans has ended.
REFUSED = "refused"

#: Priority, id, queue and bytes of one message.
Taken = tuple[int, int, str, bytes]

_read_taken = msgspec.json.Decoder(list[tuple[int, int, str, str]]).decode


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What one step is to do."""

    number: int
    #: None for a consumer that is being adopted, which need not be alive.
    consumer: str | None
    loan: int
    now: int
    #: Loans to end; the rows of the results that come with the first of them, in that order; the
    #: rows of messages to send.
    acked: Sequence[LoanKey] = ()
    records: Sequence[Values] = ()
    messages: Sequence[Values] = ()
    #: How many messages to take.
    quantity: int = 0
    #: The queues, the one whose turn it is first.
    queues: Sequence[str] = ()

    def __len__(self) -> int:
        """How many things there are to do."""
        return len(self.acked) + len(self.messages) + (1 if self.quantity else 0)


class Step(ABC):
    """The step for a number of queues, and for a store of results in the same database."""

    @abstractmethod
    def run(self, session: Session, turn: Turn) -> None:
        """Do all of it, or raise ``StatementRefused`` with the reason."""

    @abstractmethod
    def taken(self, session: Session, turn: Turn) -> tuple[list[Taken] | None, bool, int]:
        """What was taken, in no order, whether any message is parked, and how often tasks were
        revoked. None in place of the list: there are bytes among them that are not even text."""


class SqliteStep(Step):
    """Rows that are inserted into a temporary view, and triggers that do the work. The first value
    of a row tells its kind, the rest are the values of that kind."""

    _ACK, _ACK_WITH_RECORD, _SEND, _TAKE = range(1, 5)

    def __init__(self, dialect: Dialect, queues: int, store: JoinedStore | None) -> None:
        name = f"umbel_step_{queues}" + ("_results" if store is not None else "")
        stored = 0 if store is None else store.width
        self._width = max(3 + stored, len(COLUMNS), 6)
        values = [f"v{place}" for place in range(self._width)]
        self._name = name
        #: What a row of so many values lacks.
        self._filling = [(None,) * (self._width + 1 - length) for length in range(self._width + 2)]
        self._batch = Batch(dialect, f"temp.{name}", ["kind", *values])
        self._set_up = [
            f"CREATE TEMP VIEW IF NOT EXISTS {name} AS SELECT NULL AS kind, "
            + ", ".join(f"NULL AS {value}" for value in values),
            *(
                f"CREATE TEMP TRIGGER IF NOT EXISTS {name}_{kind} INSTEAD OF INSERT ON {name} "
                f"WHEN NEW.kind = {kind:d} BEGIN {'; '.join(body)}; END"
                for kind, body in self._bodies(queues, store).items()
            ),
        ]
        self._taken = (
            "SELECT (SELECT CAST(json_group_array(json_array(priority, id, queue, CAST(raw AS TEXT))) "
            "AS BLOB) FROM umbel_message WHERE state = 2 AND consumer = ? AND loan = ?), "
            "EXISTS (SELECT 1 FROM umbel_message WHERE state = 3), "
            f"(SELECT value FROM umbel_meta WHERE name = '{REVOCATIONS}')"
        )

    def run(self, session: Session, turn: Turn) -> None:
        acked, records = turn.acked, turn.records
        many = len(records)
        rows: list[Values] = [
            *(
                (self._ACK_WITH_RECORD, *key, *row)
                for key, row in zip(acked, records, strict=False)
            ),
            *((self._ACK, *key) for key in acked[many:]),
            *((self._SEND, *row) for row in turn.messages),
        ]
        if turn.quantity:
            queues = msgspec.json.encode(turn.queues).decode()
            take = (turn.number, turn.loan, turn.consumer, turn.quantity, turn.now, queues)
            rows.append((self._TAKE, *take))
        session.prepare(self._name, self._set_up)
        session.execute(*self._batch.bind([(*row, *self._filling[len(row)]) for row in rows]))

    def taken(self, session: Session, turn: Turn) -> tuple[list[Taken] | None, bool, int]:
        ((taken, parked, revocations),) = session.fetch(self._taken, (turn.number, turn.loan))
        try:
            rows = _read_taken(taken)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None, bool(parked), int(revocations or 0)
        found = [(one, two, three, raw.encode()) for one, two, three, raw in rows]
        return found, bool(parked), int(revocations or 0)

    def _bodies(self, queues: int, store: JoinedStore | None) -> dict[int, list[str]]:
        ack = [
            (
                "DELETE FROM umbel_message "
                "WHERE id = NEW.v2 AND state = 2 AND consumer = NEW.v0 AND loan = NEW.v1"
            ),
            _refuse(REFUSED, "changes() = 0"),
        ]
        message = ", ".join(f"NEW.v{place}" for place in range(len(COLUMNS)))
        send = f"INSERT INTO umbel_message ({', '.join(COLUMNS)}) VALUES ({message})"
        bodies = {self._ACK: ack, self._SEND: [send]}
        if store is not None:
            record = [f"NEW.v{3 + place}" for place in range(store.width)]
            bodies[self._ACK_WITH_RECORD] = [*ack, store.statement(record)]
        if queues:
            bodies[self._TAKE] = _take(
                [f"json_extract(NEW.v5, '$[{place}]')" for place in range(queues)]
            )
        return bodies


def _take(queues: Sequence[str]) -> list[str]:
    """Number, loan, consumer, quantity, now and the JSON array of queues are the values of this kind of row."""
    due = " OR ".join(
        f"EXISTS (SELECT 1 FROM umbel_message WHERE state = 1 AND queue = {queue} "
        "AND moment_ms <= NEW.v4)"
        for queue in queues
    )
    return [
        _refuse(
            FENCED,
            "NEW.v2 IS NOT NULL AND NOT EXISTS (SELECT 1 FROM umbel_consumer "
            "WHERE number = NEW.v0 AND id = NEW.v2 AND dead = 0)",
        ),
        _refuse(DUE, due),
        (
            "UPDATE umbel_message SET state = 2, consumer = NEW.v0, loan = NEW.v1, "
            f"moment_ms = NEW.v4 WHERE id IN ({_first(queues)})"
        ),
    ]


def _refuse(reason: str, condition: str) -> str:
    return f"SELECT RAISE(ABORT, '{reason}') WHERE {condition}"


def _first(queues: Sequence[str]) -> str:
    """A SELECT of the ids that are to be taken."""
    one = (
        "SELECT id, priority FROM umbel_message WHERE state = 0 AND queue = {queue} "
        f"AND {not_paused('{queue}')} ORDER BY priority DESC, id LIMIT NEW.v3"
    )
    if len(queues) == 1:
        return one.format(queue=queues[0]).replace("id, priority", "id", 1)
    each = " UNION ALL ".join(
        f"SELECT id, priority, {place} AS place, "
        "row_number() OVER (PARTITION BY priority ORDER BY id) AS turn "
        f"FROM ({one.format(queue=queue)})"
        for place, queue in enumerate(queues)
    )
    return f"SELECT id FROM ({each}) ORDER BY priority DESC, turn, place LIMIT NEW.v3"


_STEPS: dict[str, type[SqliteStep]] = {"sqlite": SqliteStep}


def make_step(dialect: Dialect, queues: int, store: JoinedStore | None) -> Step:
    """The step in the words of this database."""
    return _STEPS[dialect.name](dialect, queues, store)


def in_order(taken: Sequence[Taken], queues: Sequence[str]) -> list[Taken]:
    """In the order in which they are to run: higher priority first, equal ones from each queue in
    turn, first in first out within a queue."""
    by_age = sorted(taken, key=lambda one: (-one[0], one[1]))
    if len(queues) == 1:
        return by_age
    rank = {queue: place for place, queue in enumerate(queues)}
    turns: Counter[tuple[int, str]] = Counter()
    keyed = []
    for one in by_age:
        priority, _, queue, _ = one
        turns[priority, queue] += 1
        keyed.append((-priority, turns[priority, queue], rank[queue], one))
    return [one for *_, one in sorted(keyed, key=lambda item: item[:3])]
