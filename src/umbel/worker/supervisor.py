"""The parent of the processes that work: forks them, watches them, ends them.

    start -> children fork -> watch: restart the dead, end those past a hard time limit
    TERM or INT  -> warm stop: children finish what runs, settle and leave
    again, QUIT, or the drain timeout -> cold stop: children are killed, their work goes back
    (with a soft shutdown, the first that asks for a cold stop gets a warm one, of bounded time)

It never touches a message: what a dead child held is taken back by the steward.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Collection

from umbel.events.emitter import Emitter
from umbel.events.types import ChildExited, ChildStarted, WorkerReady, WorkerStopped, WorkerStopping
from umbel.signals import worker_before_create_process
from umbel.waker import Waker, readable
from umbel.worker.bell import Bell
from umbel.worker.board import Board, Place
from umbel.worker.child import Child, describe
from umbel.worker.line import Line, Lines
from umbel.worker.options import WorkerOptions
from umbel.worker.process import run_child
from umbel.worker.rescue import Cause, Death
from umbel.worker.services.steward import Steward
from umbel.worker.size import Size
from umbel.worker.stop_signals import StopSignals
from umbel.worker.vacancies import Vacancies
from umbel.worker.wear import resident

__all__ = ["Supervisor"]

logger = logging.getLogger("umbel.worker")

#: Seconds between looks at hard time limits.
LIMIT_EVERY = 0.1
#: A child that lives shorter than this and began no job started badly: its successor waits.
SHORT_LIFE = 1.0
#: Seconds for the steward to take the loans back when the worker stops.
BURIAL_TIMEOUT = 5.0


class Supervisor:
    """``run`` blocks until the worker has stopped and returns the exit code."""

    def __init__(
        self, options: WorkerOptions, board: Board, steward: Steward, emitter: Emitter
    ) -> None:
        self.options = options
        self.board = board
        self.bell = Bell()
        self.steward = steward
        self.emitter = emitter
        self.lines = Lines()
        self.children: dict[int, Child] = {}
        #: What a child must not keep open.
        self.close_in_child: list[Callable[[], object]] = []
        self._vacancies = Vacancies(board)
        self._waker = Waker()
        self.signals = StopSignals(self._waker)
        self.size = Size(
            len(board.places), room=board.most, changed=self._waker.set, bounds=options.autoscale
        )
        #: What is to be done before all processes are replaced.
        self._restarts: deque[Callable[[], None]] = deque()
        self._draining = False
        #: Whether a soft shutdown stands before the cold one; None: nobody asked for that yet.
        self._soft: bool | None = None
        self._kill_at = float("inf")
        self._killed = False
        #: The ids of tasks that are not to go on.
        self._unwanted: deque[Collection[str]] = deque()

    def run(self) -> int:
        self.signals.listen()
        gc.collect()
        gc.freeze()  # what was imported so far stays in pages that the children share
        self._warn_of_memory()
        self._fork_due()
        while not (self.children or self.stopping):
            self._rest()
            self._fork_due()
        self.emitter.emit(WorkerReady(node=self.options.node))
        while self.children or not self.stopping:
            self._rest()
            self._reap()
            self._end_overdue()
            self._end_unwanted()
            self._obey_signals()
            self._resize()
            self._renew()
            self._repeat()
            self._fork_due()
        self._wait_for_burials()
        self.emitter.emit(WorkerStopped(node=self.options.node))
        return 0

    def terminate(self, ids: Collection[str]) -> list[str]:
        """End these tasks, with their processes. Those that run; from any thread."""
        self._unwanted.append(ids)
        self._waker.set()
        places = [child.place for child in list(self.children.values())]
        running = {slot.running[1] for place in places for slot in place.slots}
        return [task_id for task_id in ids if task_id in running]

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self.signals.stopping

    def staying(self) -> list[Place]:
        """The places of the processes that are not about to leave for good; from any thread."""
        return [child.place for child in list(self.children.values()) if not child.last]

    def restart(self, first: Callable[[], None]) -> None:
        """Replace all processes, one after the other, each when it has finished what it runs; before,
        in the thread that forks, call ``first``. From any thread."""
        self._restarts.append(first)
        self._waker.set()

    # Signals --------------------------------------------------------------------------------------

    def _obey_signals(self) -> None:
        if self.signals.stacks:
            said, self.signals.stacks = self.signals.stacks, ""
            logger.warning("Threads of the supervisor:\n%s", said)
        if self._is_to_be_cold() or time.monotonic() >= self._kill_at:
            if not self._killed:
                self._killed = True
                self.emitter.emit(WorkerStopping(node=self.options.node, warm=False))
            self._kill_all(Cause.STOPPED)
        elif self.stopping and not self._draining:
            self._draining = True
            if not self._soft:
                self._kill_at = time.monotonic() + self.options.drain_timeout
            self.emitter.emit(WorkerStopping(node=self.options.node, warm=True))
            for child in self.children.values():
                self._tell_to_leave(child)

    def _is_to_be_cold(self) -> bool:
        """Whether what runs is to be given back at once."""
        told = self.signals.urgent
        if told and self._soft is None:
            options = self.options
            busy = any(child.place.running for child in self.children.values())
            self._soft = options.soft_timeout > 0 and (busy or options.soft_when_idle)
            if self._soft:
                self._kill_at = min(self._kill_at, time.monotonic() + options.soft_timeout)
                logger.warning(
                    "Soft shutdown: what still runs in %g s goes back to its queue",
                    options.soft_timeout,
                )
        return told > (1 if self._soft else 0)

    def _kill_all(self, cause: Cause) -> None:
        for child in self.children.values():
            if child.cause is Cause.CRASHED:
                child.cause = cause
                os.kill(child.pid, signal.SIGKILL)

    # Sizes ------------------------------------------------------------------------------------------

    def _resize(self) -> None:
        """See to as many processes as are wanted. Of those that are too many, the ones that are to be
        replaced leave first, then those that are not ready yet, and those at work last."""
        if self.stopping:
            return
        staying = [child for child in self.children.values() if not child.last]
        missing = self.size.wanted - len(staying) - len(self._vacancies)
        while missing > 0 and self._vacancies.add():
            missing -= 1
        while missing < 0 and self._vacancies.remove():
            missing += 1
        if missing < 0:
            for child in sorted(staying, key=_value)[:-missing]:
                child.last = True
                self._tell_to_leave(child)

    def _renew(self) -> None:
        """Replace the processes that are to be: one at a time, so that others go on, and stay where
        the new one cannot start. One that works on does not keep the others waiting."""
        while self._restarts:
            self._restarts.popleft()()
            for child in self.children.values():
                child.stale = True
        stale = [child for child in self.children.values() if child.stale and not child.told]
        if not stale or self.stopping or len(self._vacancies):
            return
        if all(child.settled for child in self.children.values()):
            self._tell_to_leave(min(stale, key=lambda child: not child.place.idle))

    def _tell_to_leave(self, child: Child) -> None:
        child.told = True
        child.heard = self.lines.drain(child.pid)

    def _repeat(self) -> None:
        """Tell those again who could not be told to leave."""
        for child in self.children.values():
            if child.told and not child.heard:
                child.heard = self.lines.drain(child.pid)

    # Children ---------------------------------------------------------------------------------------

    def _fork_due(self) -> None:
        if self.stopping:
            self._vacancies.clear()
        else:
            self._vacancies.fill(self._fork)

    def _fork(self, place: Place, failures: int) -> bool:
        """False when it cannot be done just now."""
        # The steward's thread must not be in the middle of a call to the broker: a lock that it
        # holds would stay locked in the child for ever. Nor is it waited for, since the broker
        # may be hanging and time limits must go on.
        if not self.steward.quiet.acquire(blocking=False):
            return False
        worker_before_create_process.send(sender=self)
        place.clear()
        ends: tuple[socket.socket, ...] = ()
        try:
            ends = own, others = socket.socketpair()
            _flush()
            pid = os.fork()
            if pid:  # before anybody else changes what the next child begins with
                self.lines.add(pid, own)
        except OSError as error:
            logger.error("Cannot start a process: %s", error.strerror)  # noqa: TRY400 - one line
            for end in ends:
                end.close()
            return False
        finally:
            self.steward.quiet.release()
        if pid == 0:
            own.close()
            self._become_child(place, others)
        others.close()
        self.children[pid] = Child(
            pid=pid, place=place, started=time.monotonic(), failures=failures
        )
        self.emitter.emit(ChildStarted(pid=pid))
        return True

    def _become_child(self, place: Place, end: socket.socket) -> None:
        code = 70
        try:
            self.lines.disown()
            self._waker.close()
            for close in self.close_in_child:
                close()
            line = Line(place, end, self.bell)
            code = run_child(self.options, line, self.emitter)
            _flush()
        except BaseException:  # noqa: BLE001 - the last line of defence of a forked process
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)

    def _reap(self) -> None:
        for pid in list(self.children):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                self._bury(self.children.pop(pid), status)

    def _bury(self, child: Child, status: int) -> None:
        self.lines.remove(child.pid)
        place = child.place
        if place.rise():  # it was the one that watched
            self.bell.ring_in(0.0)
        detail = describe(status)
        clean = os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0
        if place.consumer_id:
            self.steward.bury(
                Death(
                    consumer_id=place.consumer_id,
                    cause=child.cause,
                    begun=place.running,
                    overdue=child.overdue,
                    limit=child.limit,
                    acknowledged=place.acknowledged,
                    detail=detail,
                )
            )
        expected = clean or child.cause in (Cause.STOPPED, Cause.TERMINATED)
        if child.cause is Cause.TIME_LIMIT:
            detail = f"its task was past the hard time limit of {child.limit:g} s"
        self.emitter.emit(ChildExited(pid=child.pid, detail=detail, expected=expected))
        self._succeed(child, clean=clean)

    def _succeed(self, child: Child, *, clean: bool) -> None:
        """Make room for the next process; one that dies at once is not restarted in a tight loop."""
        if child.last:
            self._vacancies.give_up(child.place)
            return
        lived = time.monotonic() - child.started
        started = clean or lived > SHORT_LIFE or child.place.worked
        self._vacancies.vacate(
            child.place,
            failures=0 if started else child.failures + 1,
            crashed=not clean and child.cause is Cause.CRASHED,
        )

    def _end_overdue(self) -> None:
        now = time.monotonic()
        for child in self.children.values():
            if child.cause is Cause.CRASHED:
                loan, seconds = child.place.overdue(now)
                if loan:
                    child.cause, child.overdue, child.limit = Cause.TIME_LIMIT, loan, seconds
                    os.kill(child.pid, signal.SIGKILL)

    def _end_unwanted(self) -> None:
        while self._unwanted:
            ids = self._unwanted.popleft()
            for child in self.children.values():
                loan = child.place.loan_of(ids) if child.cause is Cause.CRASHED else ""
                if loan:
                    child.cause, child.overdue = Cause.TERMINATED, loan
                    os.kill(child.pid, signal.SIGKILL)

    # Resting ----------------------------------------------------------------------------------------

    def _rest(self) -> None:
        readable((self._waker.fd,), self._pause())
        self._waker.clear()

    def _pause(self) -> float:
        if any(child.place.limited for child in self.children.values()):
            return LIMIT_EVERY
        now = time.monotonic()
        moments = self._vacancies.moments
        if self.stopping:
            moments.append(self._kill_at)
        return max(0.0, min([now + LIMIT_EVERY * 2, *moments]) - now)

    def _warn_of_memory(self) -> None:
        limit, weight = self.options.max_memory_per_child, resident()
        if limit and weight > limit:
            logger.warning(
                "The worker has %d KiB before it has run a task, more than the %d KiB that a process "
                "may have: each is replaced after one task",
                weight,
                limit,
            )

    def _wait_for_burials(self) -> None:
        end = time.monotonic() + BURIAL_TIMEOUT
        while not self.steward.idle and time.monotonic() < end:
            readable((self._waker.fd,), 0.02)
        self.steward.stop()
        self.steward.join(BURIAL_TIMEOUT)


def _value(child: Child) -> tuple[bool, bool, bool, int]:
    place = child.place
    return not child.told, place.ready, not place.idle, -place.number


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or none at all
            stream.flush()
