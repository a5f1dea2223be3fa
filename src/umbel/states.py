"""The states of a task, and which of them replaces which. Celery's names and order."""

from __future__ import annotations

__all__ = [
    "ALL_STATES",
    "EXCEPTION_STATES",
    "FAILURE",
    "IGNORED",
    "PENDING",
    "PROPAGATE_STATES",
    "READY_STATES",
    "RECEIVED",
    "REJECTED",
    "RETRY",
    "REVOKED",
    "STARTED",
    "SUCCESS",
    "UNREADY_STATES",
    "precedence",
    "state",
]

#: Unknown, or waiting in a queue.
PENDING = "PENDING"
#: A worker has it (events only).
RECEIVED = "RECEIVED"
#: Running; stored only with ``task_track_started``.
STARTED = "STARTED"
SUCCESS = "SUCCESS"
FAILURE = "FAILURE"
#: Revoked, expired or purged before it ran.
REVOKED = "REVOKED"
#: Refused with ``Reject`` (events only).
REJECTED = "REJECTED"
#: Failed, and waiting to run again.
RETRY = "RETRY"
IGNORED = "IGNORED"

READY_STATES = frozenset({SUCCESS, FAILURE, REVOKED})
UNREADY_STATES = frozenset({PENDING, RECEIVED, STARTED, REJECTED, RETRY})
EXCEPTION_STATES = frozenset({RETRY, FAILURE, REVOKED})
PROPAGATE_STATES = frozenset({FAILURE, REVOKED})
ALL_STATES = READY_STATES | UNREADY_STATES

# Low number = strong. A state of the user's own (PROGRESS, …) sits between FAILURE and REVOKED.
_ORDER = (SUCCESS, FAILURE, None, REVOKED, STARTED, RECEIVED, REJECTED, RETRY, PENDING)
_RANK = {name: rank for rank, name in enumerate(_ORDER)}


def precedence(name: str) -> int:
    """The rank of a state; the lower number wins."""
    return _RANK.get(name, _RANK[None])


class state(str):  # noqa: N801 - Celery's public name
    """A state name that compares by precedence: ``state("STARTED") > state("PENDING")``."""

    __slots__ = ()

    def __gt__(self, other: str) -> bool:
        return precedence(self) < precedence(other)

    def __ge__(self, other: str) -> bool:
        return precedence(self) <= precedence(other)

    def __lt__(self, other: str) -> bool:
        return precedence(self) > precedence(other)

    def __le__(self, other: str) -> bool:
        return precedence(self) >= precedence(other)
