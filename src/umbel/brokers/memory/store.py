"""Where the messages of a memory broker are: ready, delayed, lent, parked or dead.

Every change is one short step under ``lock``, so that each settlement is atomic. The methods that
change something expect the caller to hold it, because an exchange is several of them at once.
Encoding and decoding happen outside; here a message is bytes with a few words beside them.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import count

import msgspec

from umbel.brokers.admin import DeadLetter

__all__ = ["Loan", "MessageStore", "Queue", "Seat", "Stored"]


class Stored(msgspec.Struct, gc=False):
    """One message as it lies in the store."""

    raw: bytes
    queue: str
    priority: int = 0
    #: None where the bytes are not a message.
    id: str | None = None
    task: str | None = None


class Seat(msgspec.Struct, eq=False):
    """One registered consumer."""

    id: str
    queues: tuple[str, ...]
    #: Monotonic seconds of its last heartbeat.
    heard: float
    #: Makes ``wait`` return.
    wake: Callable[[], None]
    #: Changes with every heartbeat.
    beats: int = 0
    #: Declared dead: somebody else settles its loans.
    dead: bool = False
    waiting: bool = False
    #: Which queue is served next.
    turn: int = 0
    loans: dict[str, Loan] = {}


class Loan(msgspec.Struct, eq=False):
    """One message with one consumer."""

    id: str
    stored: Stored
    seat: Seat
    parked_before: bool = False


class Queue:
    """The ready and the delayed messages of one queue."""

    def __init__(self) -> None:
        #: Priority -> messages; without empty ones.
        self.lanes: dict[int, deque[Stored]] = {}
        #: A heap of (due, number, message).
        self.delayed: list[tuple[float, int, Stored]] = []

    @property
    def top(self) -> int:
        """The highest priority that is ready; -1 for none."""
        return max(self.lanes, default=-1)

    def __len__(self) -> int:
        return sum(len(lane) for lane in self.lanes.values())

    def __iter__(self) -> Iterator[Stored]:
        return (one for level in sorted(self.lanes, reverse=True) for one in self.lanes[level])

    def push(self, stored: Stored, *, front: bool = False) -> None:
        lane = self.lanes.get(stored.priority)
        if lane is None:
            lane = self.lanes[stored.priority] = deque()
        (lane.appendleft if front else lane.append)(stored)

    def pop(self) -> Stored:
        """The next message; there must be one."""
        level = self.top
        lane = self.lanes[level]
        stored = lane.popleft()
        if not lane:
            del self.lanes[level]
        return stored


class MessageStore:
    """Everything that one memory broker keeps, shared by all of its objects."""

    lock: threading.RLock
    queues: dict[str, Queue]
    seats: dict[str, Seat]
    loans: dict[str, Loan]
    #: Task name -> (parked at, message), the oldest first.
    parked: dict[str, deque[tuple[float, Stored]]]
    #: The oldest first.
    dead: deque[DeadLetter]
    attended: bool
    #: Queues that lend nothing.
    paused: set[str]
    #: Task id -> until when it may not start; and how often tasks were revoked.
    revoked: dict[str, float]
    revocations: int

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.lock = threading.RLock()
        self.queues = {}
        self.seats = {}
        self.loans = {}
        self.parked = {}
        self.dead = deque()
        self.attended = False
        self.paused = set()
        self.revoked = {}
        self.revocations = 0
        self._numbers = count(1)

    def number(self) -> int:
        """A number that was never given before."""
        return next(self._numbers)

    # Ready and delayed ----------------------------------------------------------------------------

    def put(self, stored: Stored, *, due: float | None = None, front: bool = False) -> None:
        """Keep a message: ready, or delayed until ``due``; and wake who waits for it."""
        queue = self.queues.get(stored.queue)
        if queue is None:
            queue = self.queues[stored.queue] = Queue()
        if due is None:
            queue.push(stored, front=front)
        else:
            heappush(queue.delayed, (due, self.number(), stored))
        self.wake(stored.queue)

    def wake(self, queue: str) -> None:
        """Wake who waits for messages of this queue."""
        for seat in self.seats.values():
            if seat.waiting and queue in seat.queues:
                seat.waiting = False
                seat.wake()

    def promote(self, names: Sequence[str], now: float) -> None:
        """Make due messages of these queues ready, in the order of their moments."""
        for name in names:
            queue = self.queues.get(name)
            while queue is not None and queue.delayed and queue.delayed[0][0] <= now:
                queue.push(heappop(queue.delayed)[2])

    def next_due(self, names: Sequence[str]) -> float | None:
        """The earliest moment of a delayed message of these queues."""
        queues = (self.queues.get(name) for name in names)
        return min(
            (one.delayed[0][0] for one in queues if one is not None and one.delayed), default=None
        )

    def any_ready(self, names: Sequence[str]) -> bool:
        queues = (self.queues.get(name) for name in names if name not in self.paused)
        return any(queue is not None and queue.lanes for queue in queues)

    def cancel(self, task_id: str) -> int:
        """Remove the delayed messages of this task id; how many there were."""
        removed = 0
        for queue in self.queues.values():
            kept = [item for item in queue.delayed if item[2].id != task_id]
            if len(kept) < len(queue.delayed):
                removed += len(queue.delayed) - len(kept)
                heapify(kept)
                queue.delayed = kept
        return removed

    # Lent -----------------------------------------------------------------------------------------

    def take(self, seat: Seat, limit: int) -> list[Loan]:
        """Lend ready messages: higher priority first; queues of equal priority take turns."""
        taken: list[Loan] = []
        while len(taken) < limit:
            index = self._next(seat)
            if index is None:
                break
            seat.turn = (index + 1) % len(seat.queues)
            taken.append(self.lend(self.queues[seat.queues[index]].pop(), seat))
        return taken

    def _next(self, seat: Seat) -> int | None:
        best, found = -1, None
        total = len(seat.queues)
        for offset in range(total):
            index = (seat.turn + offset) % total
            name = seat.queues[index]
            queue = self.queues.get(name)
            if queue is not None and queue.top > best and name not in self.paused:
                best, found = queue.top, index
        return found

    def lend(self, stored: Stored, seat: Seat, *, parked_before: bool = False) -> Loan:
        loan = Loan(f"loan-{self.number()}", stored, seat, parked_before)
        self.loans[loan.id] = seat.loans[loan.id] = loan
        return loan

    def end(self, loan_id: str) -> Stored | None:
        """End this loan and return its message; None when it has ended before."""
        loan = self.loans.pop(loan_id, None)
        if loan is None:
            return None
        del loan.seat.loans[loan_id]
        return loan.stored

    def give_back(self, messages: Sequence[Stored]) -> None:
        """Put these at the front of their queues; the first of them will be the very first."""
        for stored in reversed(messages):
            self.put(stored, front=True)

    def release_all(self, seat: Seat) -> None:
        """End every loan of this consumer, uncounted."""
        self.give_back([loan.stored for loan in seat.loans.values()])
        for loan_id in seat.loans:
            del self.loans[loan_id]
        seat.loans.clear()

    # Consumers ------------------------------------------------------------------------------------

    def register(self, seat: Seat) -> bool:
        """Make a consumer known. One of the same id hands its loans over; False when that one has
        been declared dead and its loans are another's business."""
        before = self.seats.get(seat.id)
        if before is not None:
            if before.dead:
                return False
            seat.loans = before.loans
            for loan in seat.loans.values():
                loan.seat = seat
        self.attended = True
        self.seats[seat.id] = seat
        return True

    def sign_off(self, seat: Seat) -> None:
        """Release what this consumer holds and forget it."""
        self.release_all(seat)
        if self.seats.get(seat.id) is seat:
            del self.seats[seat.id]

    # Parked and dead ------------------------------------------------------------------------------

    def park(self, stored: Stored, now: float) -> None:
        self.parked.setdefault(stored.task or "", deque()).append((now, stored))

    def unpark(self, task: str, queues: Collection[str] | None = None) -> Stored | None:
        """The oldest parked message of this task (on one of these queues), which is not parked any
        more."""
        waiting = self.parked.get(task, ())
        for place, (_, stored) in enumerate(waiting):
            if queues is None or stored.queue in queues:
                del self.parked[task][place]
                if not self.parked[task]:
                    del self.parked[task]
                return stored
        return None

    def bury(self, stored: Stored, reason: str, now: float) -> None:
        """Keep this message among the dead letters."""
        letter = DeadLetter(
            id=stored.id or f"raw-{self.number()}",
            task=stored.task,
            queue=stored.queue,
            reason=reason,
            died_at=now,
            raw=stored.raw,
        )
        self.dead.append(letter)

    def trim_dead(self, limit: int, older_than: float) -> None:
        """Forget the oldest dead letters beyond ``limit`` and those that died before a moment."""
        while self.dead and (len(self.dead) > limit or self.dead[0].died_at < older_than):
            self.dead.popleft()
