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

from umbel.brokers.sql.rows import COLUMNS, LoanKey
from umbel.drivers.sql.base import Dialect, JoinedStore, Session

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

_write = msgspec.json.Encoder().encode
_read_taken = msgspec.json.Decoder(list[tuple[int, int, str, str]]).decode


#: Priority, id, queue and bytes of one message.
Taken = tuple[int, int, str, bytes]


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What one step is to do."""

    number: int
    #: None for a consumer that is being adopted, which need not be alive.
    consumer: str | None
    loan: int
    now: int
    #: Loans to end, with their results and what they send, as JSON arrays of rows.
    acked: Sequence[LoanKey] = ()
    records: str = "[]"
    messages: str = "[]"
    #: How many messages to take.
    quantity: int = 0
    #: The queues, the one whose turn it is first.
    queues: Sequence[str] = ()


class Step(ABC):
    """The step for a number of queues, and for a store of results in the same database."""

    @abstractmethod
    def run(self, session: Session, turn: Turn) -> None:
        """Do all of it, or raise ``StatementRefused`` with the reason."""

    @abstractmethod
    def taken(self, session: Session, turn: Turn) -> tuple[list[Taken] | None, bool]:
        """What was taken, in no order, and whether any message is parked. None in place of the
        list: there are bytes among them that are not even text."""


class SqliteStep(Step):
    """A row is inserted into a temporary view, and a trigger does the work."""

    def __init__(self, dialect: Dialect, queues: int, store: JoinedStore | None) -> None:
        self._name = f"umbel_step_{queues}" + ("_results" if store is not None else "")
        names = [f"queue_{place}" for place in range(queues)]
        fixed = ["number", "consumer", "loan", "quantity", "now", "acked", "expected"]
        columns = [*fixed, "records", "messages", *names]
        self._set_up = (
            f"CREATE TEMP VIEW {self._name} AS SELECT "
            + ", ".join(f"NULL AS {column}" for column in columns),
            f"CREATE TEMP TRIGGER {self._name}_do INSTEAD OF INSERT ON {self._name} BEGIN "
            + "; ".join(_body(dialect, names, store))
            + "; END",
        )
        self._insert = (
            f"INSERT INTO temp.{self._name} ({', '.join(columns)}) "
            f"VALUES ({', '.join('?' * len(columns))})"
        )
        self._taken = (
            "SELECT (SELECT CAST(json_group_array(json_array(priority, id, queue, CAST(raw AS TEXT))) "
            "AS BLOB) FROM umbel_message WHERE state = 2 AND consumer = ? AND loan = ?), "
            "EXISTS (SELECT 1 FROM umbel_message WHERE state = 3)"
        )

    def run(self, session: Session, turn: Turn) -> None:
        session.prepare(self._name, self._set_up)
        session.execute(
            self._insert,
            (
                turn.number,
                turn.consumer,
                turn.loan,
                turn.quantity,
                turn.now,
                _write(turn.acked).decode(),
                len(turn.acked),
                turn.records,
                turn.messages,
                *turn.queues,
            ),
        )

    def taken(self, session: Session, turn: Turn) -> tuple[list[Taken] | None, bool]:
        ((taken, parked),) = session.fetch(self._taken, (turn.number, turn.loan))
        try:
            rows = _read_taken(taken)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None, bool(parked)
        return [(one, two, three, raw.encode()) for one, two, three, raw in rows], bool(parked)


def _body(dialect: Dialect, queues: Sequence[str], store: JoinedStore | None) -> list[str]:
    key = ", ".join(dialect.item.format(place=place) for place in range(3))
    due = " OR ".join(
        f"EXISTS (SELECT 1 FROM umbel_message WHERE state = 1 AND queue = NEW.{queue} "
        "AND moment_ms <= NEW.now)"
        for queue in queues
    )
    acked = dialect.rows.format(source="NEW.acked")
    return [
        _refuse(
            FENCED,
            "NEW.consumer IS NOT NULL AND NOT EXISTS (SELECT 1 FROM umbel_consumer "
            "WHERE number = NEW.number AND id = NEW.consumer AND dead = 0)",
        ),
        _refuse(DUE, f"NEW.quantity > 0 AND ({due or '0'})"),
        (
            "DELETE FROM umbel_message WHERE state = 2 "
            f"AND (consumer, loan, id) IN (SELECT {key} FROM {acked})"
        ),
        _refuse(REFUSED, "changes() <> NEW.expected"),
        *([store.statement("NEW.records")] if store is not None else []),
        dialect.insert_from("umbel_message", COLUMNS, "NEW.messages", as_bytes=("raw",)),
        (
            "UPDATE umbel_message SET state = 2, consumer = NEW.number, loan = NEW.loan, "
            f"moment_ms = NEW.now WHERE id IN ({_first(queues)})"
        ),
    ]


def _refuse(reason: str, condition: str) -> str:
    return f"SELECT RAISE(ABORT, '{reason}') WHERE {condition}"


def _first(queues: Sequence[str]) -> str:
    """A SELECT of the ids that are to be taken."""
    if not queues:
        return "NULL"
    one = (
        "SELECT id, priority FROM umbel_message WHERE state = 0 AND queue = NEW.{queue} "
        "ORDER BY priority DESC, id LIMIT NEW.quantity"
    )
    if len(queues) == 1:
        return one.format(queue=queues[0]).replace("id, priority", "id", 1)
    each = " UNION ALL ".join(
        f"SELECT id, priority, {place} AS place, "
        "row_number() OVER (PARTITION BY priority ORDER BY id) AS turn "
        f"FROM ({one.format(queue=queue)})"
        for place, queue in enumerate(queues)
    )
    return f"SELECT id FROM ({each}) ORDER BY priority DESC, turn, place LIMIT NEW.quantity"


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
