"""What each child process works on, in memory that its supervisor shares and outlives.

A child writes before it calls a task and after; the supervisor reads it to know which loans a dead
child had begun, and who is past a hard time limit. No locks: every field has one writer, and a
reader that must be sure reads twice.
"""

from __future__ import annotations

import logging
import mmap
import struct

__all__ = ["Board", "Slot"]

logger = logging.getLogger("umbel.worker")

_ID = struct.Struct("=H126s")  # consumer id
_RUN = struct.Struct("=QdH238s")  # generation, monotonic start, loan
_LIMIT = struct.Struct("=dd")  # monotonic moment of the hard limit, its seconds
_READY = struct.Struct("=B")
_RUN_AT = _ID.size
_LIMIT_AT = _RUN_AT + _RUN.size
_READY_AT = _LIMIT_AT + _LIMIT.size
_REST_AT = _READY_AT + _READY.size
_ACKNOWLEDGED = struct.Struct("=H98s")  # task id
_ACKNOWLEDGED_AT = _REST_AT + _READY.size
_SIZE = 512
_AWAKE, _ASLEEP, _WATCHING = range(3)
_LONGEST_ID = 126
_LONGEST_TASK_ID = 98


class Slot:
    """One place on the board: one job at a time of one process."""

    def __init__(self, memory: mmap.mmap, index: int) -> None:
        self._memory = memory
        self._index = index
        self._base = index * _SIZE
        self._generation = 0

    @property
    def number(self) -> int:
        """The place, from 1."""
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
        length, text = _ID.unpack_from(self._memory, self._base)
        signed: str = text[:length].decode()
        return signed

    def begin(self, loan: str, started: float) -> None:
        """The job of this loan is about to run."""
        self._generation += 1
        text = loan.encode()
        _RUN.pack_into(
            self._memory, self._base + _RUN_AT, self._generation, started, len(text), text
        )

    def end(self) -> None:
        """Nothing runs here."""
        _RUN.pack_into(self._memory, self._base + _RUN_AT, self._generation, 0.0, 0, b"")
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
        length, text = _ACKNOWLEDGED.unpack_from(self._memory, self._base + _ACKNOWLEDGED_AT)
        task_id: str = text[:length].decode()
        return task_id

    @property
    def loan(self) -> str:
        """The loan of the running job, or empty."""
        _generation, _started, length, text = _RUN.unpack_from(self._memory, self._base + _RUN_AT)
        running: str = text[:length].decode()
        return running

    @property
    def started(self) -> float:
        """Monotonic moment when the running job began, 0 when none runs."""
        started: float = _RUN.unpack_from(self._memory, self._base + _RUN_AT)[1]
        return started

    @property
    def worked(self) -> bool:
        """Whether this process has begun a job."""
        generation: int = _RUN.unpack_from(self._memory, self._base + _RUN_AT)[0]
        return generation > 0

    def limit(self, moment: float, seconds: float) -> None:
        """Set the hard limit of the running job; 0: none."""
        _LIMIT.pack_into(self._memory, self._base + _LIMIT_AT, moment, seconds)

    @property
    def hard_limit(self) -> tuple[float, float]:
        """(monotonic moment, seconds) of the running job's hard limit; (0, 0): none."""
        moment, seconds = _LIMIT.unpack_from(self._memory, self._base + _LIMIT_AT)
        return moment, seconds

    def announce(self, ready: bool) -> None:
        """Say whether this process takes messages."""
        _READY.pack_into(self._memory, self._base + _READY_AT, ready)

    @property
    def ready(self) -> bool:
        """Whether the process takes messages."""
        return bool(_READY.unpack_from(self._memory, self._base + _READY_AT)[0])

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
        places = range(_REST_AT, len(memory), _SIZE)
        return any(memory[place] == state for place in places if place != own)

    def clear(self) -> None:
        """Forget everything: a new process takes this place."""
        self._memory[self._base : self._base + _SIZE] = bytes(_SIZE)


class Board:
    """Places for ``size`` processes. Made before the first fork."""

    def __init__(self, size: int) -> None:
        self._memory = mmap.mmap(-1, max(size, 1) * _SIZE)
        self.slots = [Slot(self._memory, index) for index in range(size)]
