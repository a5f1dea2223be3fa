"""The line between a supervisor and its children: orders go down, answers come back.

Each order is a line of JSON on a socket, each answer too. A child reads in the turns of its loop, so
also while it waits; what it tells by itself stands on the board. A solo worker has no children:
there the line leads to the process itself.
"""

from __future__ import annotations

import itertools
import os
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from umbel.waker import readable
from umbel.worker.bell import Bell
from umbel.worker.board import Place

__all__ = ["Line", "Lines", "Order"]

#: Seconds that one side waits for the other to take what it says.
PATIENCE = 1.0
#: Bytes read at once.
_CHUNK = 65536


class Order(msgspec.Struct, frozen=True):
    """What a process is told. ``number``: an answer is wanted, under this number."""

    name: str
    arguments: dict[str, Any] = {}
    number: int | None = None


class _Answer(msgspec.Struct, frozen=True):
    number: int
    value: Any = None


#: The number of what nobody asked for.
_FAREWELL = 0
#: Take nothing more, finish what runs, settle and leave.
DRAIN = Order("drain")

_order = msgspec.json.Decoder(Order).decode
_answer = msgspec.json.Decoder(_Answer).decode


def _written(said: Order | _Answer) -> bytes:
    return msgspec.json.encode(said, enc_hook=repr) + b"\n"


class End:
    """One end of a socket between two processes: takes and gives whole lines."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self.fd = end.detach()
        self._read = b""
        #: The rest of a line that the other side did not take in time.
        self._unsaid = b""
        #: Held while something is said: a line must not begin inside of another.
        self._saying = threading.Lock()
        #: Held while something is read: two threads must not each get half of a line.
        self._reading = threading.Lock()

    def read(self) -> list[bytes] | None:
        """The lines that have arrived; None: the other side is gone."""
        with self._reading:
            return self._arrived()

    def _arrived(self) -> list[bytes] | None:
        try:
            said = os.read(self.fd, _CHUNK)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not said:
            return None
        *lines, self._read = (self._read + said).split(b"\n")
        return lines

    def say(self, line: bytes, patience: float = PATIENCE) -> bool:
        """False when the other side does not take it in time, or is gone. Without patience, nor is
        any other thread waited for that says something."""
        if not self._saying.acquire(blocking=patience > 0):
            return False
        try:
            return self._say(line, patience)
        finally:
            self._saying.release()

    def _say(self, line: bytes, patience: float) -> bool:
        left, until = self._unsaid + line, time.monotonic() + patience
        while left:
            try:
                left = left[os.write(self.fd, left) :]
            except BlockingIOError:
                if not self._writable(until - time.monotonic()):
                    # What has begun must be ended before anything else is said.
                    self._unsaid = left if len(left) < len(line) else left[: -len(line)]
                    return False
            except OSError:  # which is found out by reading
                return False
        self._unsaid = b""
        return True

    def _writable(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        return bool(poll.poll(max(0.0, seconds) * 1000))

    def close(self) -> None:
        """Hang up. Its number is forgotten first: soon it is that of another file."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        # When the interpreter ends, modules may be gone before what they made.
        if hasattr(self, "fd") and os is not None:
            self.close()


class Line:
    """The child's end. Without a socket (solo) there is no supervisor: then ``drain`` is called
    directly, and there are no other processes for a ``bell`` to wake."""

    def __init__(
        self, place: Place, end: socket.socket | None = None, bell: Bell | None = None
    ) -> None:
        self.place = place
        self.bell = bell
        self._own_end: End | None = None
        if end is None:
            self._be_alone()
        else:
            self._listen(End(end))
        #: The loop is to take nothing more and leave when all is settled.
        self.draining = False
        #: The supervisor died: nobody beats for this process any more.
        self.orphaned = False

    def _listen(self, end: End) -> None:
        self._end = end
        self.fd = end.fd

    def read(self) -> Sequence[Order]:
        """What was said since the last look, but for DRAIN, which is noted."""
        lines = self._end.read()
        if not lines:
            if lines is None:
                self._be_orphaned()
            return ()
        orders = [_order(line) for line in lines]
        if DRAIN in orders:
            self.draining = True
        return [order for order in orders if order != DRAIN]

    def answer(self, order: Order, value: Any) -> None:
        """Answer this order, if an answer is wanted."""
        if order.number is not None:
            self._end.say(_written(_Answer(order.number, value)))

    def say_farewell(self, totals: Mapping[str, int]) -> None:
        """How many messages of each task this process took: the last thing that it says, unasked."""
        self._end.say(_written(_Answer(_FAREWELL, totals)))

    def drain(self) -> None:
        """Say DRAIN to oneself; callable from signal handlers and other threads."""
        assert self._own_end is not None
        os.write(self._own_end.fd, _written(DRAIN))

    def close(self) -> None:
        """Nobody is told anything any more, and nobody listens."""
        self._end.close()
        if self._own_end is not None:
            self._own_end.close()

    def sign(self, consumer_id: str) -> None:
        """Tell the supervisor under which id the loans of this process are kept."""
        self.place.sign(consumer_id)

    def announce(self, *, ready: bool) -> None:
        """Tell the supervisor whether this process takes messages."""
        self.place.announce(ready)

    def _be_orphaned(self) -> None:
        self.draining = self.orphaned = True
        # A socket whose other end is gone stays readable for ever; take one that stays silent.
        self._end.close()
        self._be_alone()

    def _be_alone(self) -> None:
        end, own_end = map(End, socket.socketpair())
        self._own_end = own_end
        self._listen(end)


class Lines:
    """The supervisor's ends. Safe to use from any thread; ``add`` and ``remove`` belong to the
    thread that forks."""

    def __init__(self) -> None:
        self._ends: dict[int, End] = {}
        self._asking = threading.Lock()
        self._numbers = itertools.count(1)
        #: What processes that have left in good order took, by task.
        self.totals: Counter[str] = Counter()
        #: What carries out orders in this very process (solo).
        self.own: Callable[[Order], Any] | None = None

    def add(self, pid: int, end: socket.socket) -> None:
        """There is a new child."""
        self._ends[pid] = End(end)

    def remove(self, pid: int) -> None:
        """The child is no more."""
        end = self._ends.pop(pid)
        while lines := end.read():
            self._take(lines)
        end.close()

    def disown(self) -> None:
        """In a child: close the ends that lead to its siblings."""
        for end in self._ends.values():
            end.close()

    def tell(self, name: str, **arguments: Any) -> None:
        """Tell this to every child. One that does not listen is left out."""
        order = Order(name, arguments)
        if self.own is not None:
            self.own(order)
        for end in list(self._ends.values()):
            end.say(_written(order))

    def drain(self, pid: int) -> bool:
        """Tell one child to finish and leave. Waits for nothing: False when it does not listen now,
        since it has not read for so long that no more fits in; then it has to be told again."""
        return self._ends[pid].say(_written(DRAIN), 0)

    def ask(self, name: str, timeout: float = 0.5, **arguments: Any) -> list[Any]:
        """Ask every child; the answers of those that gave one within so many seconds, the oldest
        child's first. A process that keeps its interpreter to itself gives none."""
        with self._asking:
            order = Order(name, arguments, next(self._numbers))
            answers = {0: self.own(order)} if self.own is not None else {}
            ends = dict(self._ends)
            silent = {pid for pid, end in ends.items() if end.say(_written(order))}
            until = time.monotonic() + timeout
            while silent and (left := until - time.monotonic()) > 0:
                silent &= self._ends.keys()
                fds = [fd for pid in silent if (fd := ends[pid].fd) >= 0]
                ready = readable(fds, min(left, 0.05))
                for pid in [pid for pid in silent if ends[pid].fd in ready]:
                    lines = ends[pid].read()
                    if lines is None:
                        silent.discard(pid)
                        continue
                    for one in self._take(lines):
                        if one.number == order.number:  # not of one who was too late for another
                            answers[pid] = one.value
                            silent.discard(pid)
            return [answers[pid] for pid in (0, *ends) if pid in answers]

    def _take(self, lines: Sequence[bytes]) -> list[_Answer]:
        """These answers, without farewells, which are kept."""
        said = [_answer(line) for line in lines]
        for one in said:
            if one.number == _FAREWELL:
                self.totals.update(one.value)
        return [one for one in said if one.number != _FAREWELL]
