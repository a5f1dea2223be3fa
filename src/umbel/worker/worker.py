"""A worker: builds every part, top to bottom, and runs until it is told to stop."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING

from umbel import states
from umbel.brokers.base import Delivery, Settlement, Verdict
from umbel.events.emitter import Emitter
from umbel.events.types import (
    MessageRescued,
    TaskRevoked,
    WorkerReady,
    WorkerStopped,
    WorkerStopping,
)
from umbel.exceptions import ImproperlyConfigured, OperationalError, WorkerTerminate
from umbel.message.record import ResultRecord
from umbel.signals import worker_init
from umbel.worker.announcements import Announcements, tell_of_lost, tell_of_terminated
from umbel.worker.board import Board
from umbel.worker.commands.state import NodeState
from umbel.worker.line import Line
from umbel.worker.options import WorkerOptions
from umbel.worker.pools import kinds
from umbel.worker.private import empty_queues
from umbel.worker.process import FROM_TERMINAL, WorkerProcess, behave_as_usual
from umbel.worker.rescue import TERMINATED, Rescuer
from umbel.worker.returning import LastWills
from umbel.worker.services.autoscaler import Autoscaler
from umbel.worker.services.remote import RemoteControl
from umbel.worker.services.steward import Steward
from umbel.worker.shutdown import quit_after, term_is_quit
from umbel.worker.stacks import answer_with_stacks
from umbel.worker.supervisor import Supervisor
from umbel.worker.telling import Telling

if TYPE_CHECKING:
    from umbel.worker.services.health import Health

__all__ = ["Worker"]

logger = logging.getLogger("umbel.worker")

_RETRY_FIRST, _RETRY_LAST = 0.5, 5.0
#: Places on the board for processes that may be added at run time.
_ROOM = 32


class Worker:
    """One node. ``run`` belongs to the main thread of a process of its own."""

    def __init__(self, options: WorkerOptions, emitter: Emitter) -> None:
        self.options = options = options.with_rates()
        self.emitter = emitter
        kind = kinds.find(options.pool, inside=options.inside)
        self.solo = kind.alone
        self._warn_of_limits(kind)
        self.board = self._make_board(kind)
        self.broker = options.open_broker()
        if not self.solo and not self.broker.crosses_processes:
            raise ImproperlyConfigured(
                f"{self.broker.display_url} cannot be reached from other processes: use the solo "
                "pool (-P solo), or a broker such as sqlite:///umbel.sqlite3"
            )
        backend = options.open_backend()
        self.steward = Steward(
            broker=self.broker,
            records=backend,
            rescuer=Rescuer(
                self.broker,
                backend,
                max_deliveries=options.max_deliveries,
                ttl=options.result_ttl,
                ended=self._report_rescue,
                failed=partial(tell_of_lost, options),
                wills=LastWills(options.tasks, options.accept, options.node),
            ),
            emitter=emitter,
            living=self._living,
            interval=options.heartbeat_interval,
            limit=options.heartbeat_limit,
            parked_limit=options.parked_limit,
            ttl=options.result_ttl,
        )
        self.supervisor = Supervisor(options, self.board, self.steward, emitter)
        self.autoscaler = self._make_autoscaler()
        address = options.health_address
        self.health = _health(address, self.ready) if address else None
        #: By which signal somebody ended a task while it ran, as far as we were asked.
        self.ended_by: dict[str, int] = {}
        self.telling = Telling(self)
        self.remote = self._remote_control() if options.app is not None else None
        #: Of a worker without children: the line to itself, while it runs.
        self.line: Line | None = None
        self._stops = 0
        #: How many of these signals mean that work is to be given back.
        self._quits = 0
        #: Nothing is being worked on any more: signals cannot make it faster.
        self._leaving = False
        if kind.watch is not None:
            self.supervisor.close_in_child.append(kind.watch())
        for service in (self.health, self.remote):
            if service is not None:
                self.supervisor.close_in_child.append(service.disown)

    def run(self) -> int:
        """Work until a signal says stop; the exit code."""
        Announcements(self).subscribe(self.emitter)
        worker_init.send(sender=self)
        if not (self.wait_for_broker() and self._try_backend()):
            return 1
        if self.health is not None:
            self.health.start()
        if not self.options.inside:
            answer_with_stacks()
        self.steward.start()
        if self.autoscaler is not None:
            self.autoscaler.start()
        if self.remote is not None:
            self.remote.start()
        try:
            return self._run_solo() if self.solo else self.supervisor.run()
        finally:
            if self.remote is not None:
                self.remote.stop()
                self.remote.join(_RETRY_FIRST)
            self.telling.stop()
            if self.health is not None:
                self.health.stop()
            if self.autoscaler is not None:
                self.autoscaler.stop()
            if self.options.private_queues:
                self._leave_private_queues()

    @property
    def hostname(self) -> str:
        """The node's name."""
        return self.options.node

    def ready(self) -> bool:
        """Whether the broker answers and a process takes messages."""
        stopping = self._stops > 0 or self.supervisor.stopping
        ready = any(place.ready for place in self.board.places)
        heard = self.remote is None or self.remote.begun
        return self.steward.connected and ready and heard and not stopping

    def wait_for_broker(self) -> bool:
        """Until the broker serves us; False when it never will, or is not to be waited for."""
        delay = _RETRY_FIRST
        while True:
            try:
                self._try_broker()
            except OperationalError as error:
                if error.lasting:
                    logger.critical("%s. The worker ends: waiting would not help", _line(error))
                    return False
                if not self.options.retry_on_startup:
                    logger.error("%s", error)  # noqa: TRY400 - one line says it
                    return False
                logger.error("%s. Trying again in %.1f s…", _line(error), delay)  # noqa: TRY400
            else:
                return True
            time.sleep(delay)
            delay = min(_RETRY_LAST, delay * 2)

    def _make_board(self, kind: kinds.PoolKind) -> Board:
        options = self.options
        shape = kinds.shape(kind, options.concurrency, options.processes, options.autoscale)
        most = options.autoscale[1] if options.autoscale is not None else 0
        return Board(*shape, room=0 if self.solo else max(_ROOM, most))

    def _make_autoscaler(self) -> Autoscaler | None:
        if self.options.autoscale is None:
            return None
        return Autoscaler(
            size=self.supervisor.size,
            staying=self.supervisor.staying,
            broker=self.broker,
            queues=lambda: self.supervisor.options.queues,
            quiet=self.steward.quiet,
            keepalive=self.options.autoscale_keepalive,
        )

    def _try_broker(self) -> None:
        """Do once what each process will do. A server that answers may still refuse that."""
        options = self.options
        consumer = self.broker.consume(
            options.queues, options.new_consumer_id(), self.steward.records
        )
        try:
            consumer.exchange([], 0)
            self.broker.declare(options.bindings)
        finally:
            with contextlib.suppress(OperationalError):
                consumer.close()
        if options.private_queues:
            empty_queues(self.broker, options.private_queues, options.heartbeat_limit)

    def _try_backend(self) -> bool:
        """Say at once what a worker would otherwise say at the end of its first task; False when
        that could not store a result at all."""
        records = self.steward.records
        if records is None:
            return True
        name = f"umbel-start-{self.options.node}"
        try:
            records.store(ResultRecord(task_id=name, status=states.SUCCESS, ttl=1.0))
            records.forget(name)
        except OperationalError as error:
            if error.lasting and not self._ignores_results():
                logger.critical("%s. The worker ends: it could not store a result", _line(error))
                return False
            logger.error(  # noqa: TRY400 - one line says it
                "%s. Tasks will wait for it with their results.", _line(error)
            )
        return True

    def _leave_private_queues(self) -> None:
        """What was broadcast to this node and has not begun is nobody's any more."""
        limit = self.options.heartbeat_limit
        with contextlib.suppress(OperationalError):
            empty_queues(self.broker, self.options.private_queues, limit)

    def _ignores_results(self) -> bool:
        return all(task.ignore_result for task in self.options.tasks.values())

    def _living(self) -> list[str]:
        return [place.consumer_id for place in self.board.places]

    def _run_solo(self) -> int:
        line = self.line = Line(self.board.places[0])
        process: WorkerProcess | None = None
        try:
            if not self.options.inside:
                self._listen(line)
            for started in self.options.process_started:
                started()
            process = WorkerProcess(self.options, line, self.emitter)
            self.supervisor.lines.own = process.orders.carry_out
            self.emitter.emit(WorkerReady(node=self.options.node))
            process.run()
            self._leaving = True
        except WorkerTerminate:
            self._leaving = True  # before anything that another signal could interrupt
            self.emitter.emit(WorkerStopping(node=self.options.node, warm=False))
            if process is not None:
                process.abandon()
        self.steward.stop()
        self.steward.join(_RETRY_LAST)
        self.emitter.emit(WorkerStopped(node=self.options.node))
        return 0

    def _listen(self, line: Line) -> None:
        """Let signals stop a solo worker, at once where the work is not to be finished."""

        def stop(signum: int, _frame: FrameType | None) -> None:
            self._stops += 1
            # Always: a task that swallows what is raised here is the last one all the same.
            line.drain()
            self._quits += signum in cold
            told = self._quits + max(0, self._stops - self._quits - 1)
            if told and not self._leaving:
                if told > (1 if soft > 0 else 0):
                    raise WorkerTerminate(1)
                quit_after(soft)

        soft = self.options.soft_timeout
        cold = {signal.SIGQUIT} | ({signal.SIGTERM} if term_is_quit() else set())
        os.register_at_fork(after_in_child=behave_as_usual)
        for number in FROM_TERMINAL:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                signal.signal(number, stop)

    def _warn_of_limits(self, kind: kinds.PoolKind) -> None:
        limited = sorted(name for name, task in self.options.tasks.items() if task.time_limit)
        if kind.ends_jobs or not (self.options.time_limit or limited):
            return
        logger.warning(
            "Hard time limits (%s) only raise TimeLimitExceeded inside the task with this pool: it "
            "has no process of its own for each task, which could be ended. Use -P prefork where "
            "that matters",
            ", ".join(limited[:5]) or "time_limit",
        )

    def _remote_control(self) -> RemoteControl:
        return RemoteControl(
            NodeState(self), self.broker.bus, self.steward.quiet, self.options.control_exchange
        )

    def _report_rescue(self, delivery: Delivery, settlement: Settlement) -> None:
        message = delivery.message
        if message is None:
            return
        if settlement.reason == TERMINATED:
            number = self.ended_by.pop(message.id, signal.SIGKILL)
            self.emitter.emit(
                TaskRevoked(id=message.id, name=message.task, terminated=True, signal=number)
            )
            tell_of_terminated(self.options, delivery, number)
        else:
            self.emitter.emit(
                MessageRescued(
                    id=message.id,
                    name=message.task,
                    reason=settlement.reason,
                    dead=settlement.verdict is Verdict.REJECT,
                )
            )


def _health(address: str, ready: Callable[[], bool]) -> Health:
    from umbel.worker.services.health import Health

    return Health(address, ready)


def _line(error: OperationalError) -> str:
    return str(error).rstrip(".")
