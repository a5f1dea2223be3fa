"""What each child process works on, in memory that its supervisor shares and outlives.

A child has a place, and in it a slot for each job that it can run at once. It writes before it
calls a task and after; the supervisor reads it to know which loans a dead child was running, and
who is past a hard time limit. No locks: every field has one writer, and a reader that must be sure
reads twice.
"""

from __future__ import annotations

import logging
import mmap
import struct
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from umbel.worker.job import Job

__all__ = ["Board", "Place", "Slot"]

logger = logging.getLogger("umbel.worker")

# Of a place: consumer id, whether it takes messages, how it rests, whether it ever ran a job; how
# many jobs it has run.
_ID = struct.Struct("=H126s")
_READY_AT = _ID.size
_REST_AT = _READY_AT + 1
_WORKED_AT = _REST_AT + 1
_RAN = struct.Struct("=Q")
_RAN_AT = 136
_PLACE = 144
# Of a slot: monotonic start, loan and task id; monotonic moment of the hard limit and its seconds;
# task id.
_RUN = struct.Struct("=dH238sH98s")
_LIMIT = struct.Struct("=dd")
_COUNT = struct.Struct("=H")
_ACKNOWLEDGED = struct.Struct("=H98s")
_LIMIT_AT = _RUN.size
_ACKNOWLEDGED_AT = _LIMIT_AT + _LIMIT.size
_SLOT = 472

_AWAKE, _ASLEEP, _WATCHING = range(3)
_LONGEST_ID = 126
_LONGEST_TASK_ID = 98


class Slot:
    """Room for one job. Everything but reading belongs to the thread that runs the job."""

    def __init__(self, memory: mmap.mmap, base: int) -> None:
        self._memory = memory
        self._base = base
        #: What runs here; known in the process itself.
        self.job: Job | None = None

    def begin(self, loan: str, task_id: str, started: float) -> None:
        """The job of this loan is about to run."""
        text, name = loan.encode(), task_id.encode()
        _RUN.pack_into(self._memory, self._base, started, len(text), text, len(name), name)

    def end(self) -> None:
        """Nothing runs here."""
        self.job = None
        _RUN.pack_into(self._memory, self._base, 0.0, 0, b"", 0, b"")
        _LIMIT.pack_into(self._memory, self._base + _LIMIT_AT, 0.0, 0.0)

    def acknowledge(self, task_id: str) -> None:
        """The running job's loan has ended already; its result is to be remembered, until it has
        been (then with an empty id)."""
        text = task_id.encode()
        if len(text) > _LONGEST_TASK_ID:
            logger.warning("If task %s kills its process, its result will not say so", task_id)
            return
        _ACKNOWLEDGED.pack_into(self._memory, self._base + _ACKNOWLEDGED_AT, len(text), text)

    @property
    def acknowledged(self) -> str:
        """The task id of a job whose loan has ended, and whose result is not stored; empty: none."""
        return _text(_ACKNOWLEDGED, self._memory, self._base + _ACKNOWLEDGED_AT)

    @property
    def loan(self) -> str:
        """The loan of the running job, or empty."""
        return self.running[0]

    @property
    def running(self) -> tuple[str, str]:
        """The loan of the running job and its task id, as far as there was room for it; empty: none."""
        _started, length, loan, named, name = _RUN.unpack_from(self._memory, self._base)
        return loan[:length].decode(), name[:named].decode(errors="replace")

    @property
    def started(self) -> float:
        """Monotonic moment when the running job began, 0 when none runs."""
        started: float = _RUN.unpack_from(self._memory, self._base)[0]
        return started

    def limit(self, moment: float, seconds: float) -> None:
        """Set the hard limit of the running job; 0: none."""
        _LIMIT.pack_into(self._memory, self._base + _LIMIT_AT, moment, seconds)

    @property
    def hard_limit(self) -> tuple[float, float]:
        """(monotonic moment, seconds) of the running job's hard limit; (0, 0): none."""
        moment, seconds = _LIMIT.unpack_from(self._memory, self._base + _LIMIT_AT)
        return moment, seconds


class Place:
    """One process's part of the board."""

    def __init__(self, board: Board, index: int) -> None:
        self._memory = memory = board.memory
        self._size = board.size_of_place
        self._index = index
        self._base = base = index * self._size
        self._count_at = board.count_at
        self.slots = [
            Slot(memory, base + _PLACE + number * _SLOT) for number in range(board.slots_each)
        ]

    @property
    def number(self) -> int:
        """From 1."""
        return self._index + 1

    def sign(self, consumer_id: str) -> None:
        """Say under which consumer id this process holds its loans."""
        text = consumer_id.encode()
        if len(text) > _LONGEST_ID:
            raise ValueError(f"the consumer id {consumer_id!r} is longer than {_LONGEST_ID} bytes")
        _ID.pack_into(self._memory, self._base, len(text), text)

    @property
    def consumer_id(self) -> str:
        """The signed id; empty before the process has one."""
        return _text(_ID, self._memory, self._base)

    def announce(self, ready: bool) -> None:
        """Say whether this process takes messages."""
        self._memory[self._base + _READY_AT] = ready

    @property
    def ready(self) -> bool:
        """Whether the process takes messages."""
        return bool(self._memory[self._base + _READY_AT])

    def work(self) -> None:
        """This process has begun a job."""
        self._memory[self._base + _WORKED_AT] = 1

    @property
    def worked(self) -> bool:
        """Whether this process has begun a job."""
        return bool(self._memory[self._base + _WORKED_AT])

    def loan_of(self, ids: Collection[str]) -> str:
        """The loan of a running job of one of these tasks; empty: none."""
        for slot in self.slots:
            loan, task_id = slot.running
            if loan and task_id in ids:
                return loan
        return ""

    def count(self, ran: int) -> None:
        """So many jobs have run in this process."""
        _RAN.pack_into(self._memory, self._base + _RAN_AT, ran)

    @property
    def ran(self) -> int:
        """How many jobs have run in this process."""
        ran: int = _RAN.unpack_from(self._memory, self._base + _RAN_AT)[0]
        return ran

    @property
    def running(self) -> frozenset[str]:
        """The loans of the jobs that run now."""
        return frozenset(slot.loan for slot in self.slots) - {""}

    @property
    def acknowledged(self) -> frozenset[str]:
        """The task ids of its slots' jobs whose loans have ended, and whose results are not stored."""
        return frozenset(slot.acknowledged for slot in self.slots) - {""}

    @property
    def limited(self) -> bool:
        """Whether a running job has a hard limit."""
        return any(slot.hard_limit[0] for slot in self.slots)

    def overdue(self, now: float) -> tuple[str, float]:
        """The loan of a job that is past its hard limit, and the limit in seconds; ("", 0): none."""
        for slot in self.slots:
            moment, seconds = slot.hard_limit
            if moment and now >= moment:
                loan = slot.loan
                if loan and slot.hard_limit == (moment, seconds):
                    return loan, seconds
        return "", 0.0

    def rest(self) -> bool:
        """This process has nothing to do. True: it is the one that watches for messages. (Now and
        then two of them are told so; the next message mends it.)"""
        # Lying down comes before looking, and rising before looking too: so there is never one who
        # sleeps because another watches, who works because nobody sleeps.
        self._memory[self._base + _REST_AT] = _ASLEEP
        if self._others(_WATCHING):
            return False
        self._memory[self._base + _REST_AT] = _WATCHING
        return True

    def rise(self) -> bool:
        """This process has something to do, or is no more. True: others sleep and nobody watches."""
        self._memory[self._base + _REST_AT] = _AWAKE
        return self._others(_ASLEEP) and not self._others(_WATCHING)

    @property
    def idle(self) -> bool:
        """Whether this process sleeps or watches."""
        return self._memory[self._base + _REST_AT] != _AWAKE

    def _others(self, state: int) -> bool:
        memory, own = self._memory, self._base + _REST_AT
        [count] = _COUNT.unpack_from(memory, self._count_at)
        places = range(_REST_AT, count * self._size, self._size)
        return any(memory[place] == state for place in places if place != own)

    def clear(self) -> None:
        """Forget everything: a new process takes this place."""
        self._memory[self._base : self._base + self._size] = bytes(self._size)


class Board:
    """Places for so many processes, each with so many slots, and room to ``add`` others later. Made
    before the first fork."""

    def __init__(self, processes: int, slots_each: int = 1, room: int = 0) -> None:
        self.slots_each = slots_each
        self.size_of_place = _PLACE + slots_each * _SLOT
        #: The most places that there can be.
        self.most = max(processes, 1) + room
        #: How many there are stands behind them, since children know only those of their birth.
        self.count_at = self.most * self.size_of_place
        self.memory = mmap.mmap(-1, self.count_at + _COUNT.size)
        self.places: list[Place] = []
        for _ in range(processes):
            self.add()

    def add(self) -> Place | None:
        """One more place; None when there is no room. Belongs to the thread that forks."""
        if len(self.places) == self.most:
            return None
        place = Place(self, len(self.places))
        self.places.append(place)
        _COUNT.pack_into(self.memory, self.count_at, len(self.places))
        return place


def _text(field: struct.Struct, memory: mmap.mmap, base: int) -> str:
    length, text = field.unpack_from(memory, base)
    found: str = text[:length].decode()
    return found
