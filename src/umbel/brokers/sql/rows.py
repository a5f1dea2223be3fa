"""Between messages and rows of ``umbel_message``; and what a loan is called."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

from umbel.brokers.base import Delivery
from umbel.drivers.sql.base import Values
from umbel.drivers.sql.schema import State
from umbel.message.message import Message
from umbel.message.protocol import encode, read_message

__all__ = [
    "COLUMNS",
    "PAUSED",
    "REVOCATIONS",
    "TOPIC",
    "WAS_PARKED",
    "LoanKey",
    "deliver",
    "name_loan",
    "not_paused",
    "parse_loan",
    "row_of",
    "rows_of",
]

#: What a published message fills in, in the order of ``row_of``.
COLUMNS = ("state", "queue", "priority", "moment_ms", "task_id", "task", "raw")
#: Under which waiting consumers are told of new rows.
TOPIC = "umbel_message"
#: Before the name of a queue: the name in ``umbel_meta`` of the fact that it lends nothing.
PAUSED = "paused:"
#: The name in ``umbel_meta`` of how often tasks were revoked.
REVOCATIONS = "revocations"
#: ``note`` of a loan whose message had been parked.
WAS_PARKED = "parked"

#: Consumer number, turn, message id: what must be so for a loan to be held.
LoanKey = tuple[int, int, int]


def row_of(message: Message, raw: bytes, now: int) -> Values:
    """The row of a message that is published at this moment."""
    due = None if message.due is None else ceil(message.due * 1000)
    state, moment = (State.DELAYED, due) if due is not None and due > now else (State.READY, None)
    return int(state), message.queue, message.priority, moment, message.id, message.task, raw


def rows_of(messages: Iterable[Message], now: int) -> list[Values]:
    """The rows of messages that are published at this moment."""
    return [row_of(message, encode(message), now) for message in messages]


def not_paused(queue: str) -> str:
    """The condition that this queue, a value in words of SQL, lends messages."""
    return f"NOT EXISTS (SELECT 1 FROM umbel_meta WHERE name = '{PAUSED}' || {queue})"


def name_loan(number: int, loan: int, message_id: int) -> str:
    return f"{number}/{loan}/{message_id}"


def parse_loan(name: str) -> LoanKey:
    """The parts of a loan's name; of a name that is none of ours, those of no loan."""
    try:
        number, loan, message_id = name.split("/")
        return int(number), int(loan), int(message_id)
    except ValueError:
        return 0, 0, 0


def deliver(loan: str, queue: str, raw: bytes, note: str | None = None) -> Delivery:
    """What the worker gets to see of one loan."""
    message, problem = read_message(raw, queue)
    return Delivery(
        loan=loan,
        queue=queue,
        raw=raw,
        message=message,
        problem=problem,
        parked_before=note == WAS_PARKED,
    )
