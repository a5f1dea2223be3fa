"""One process that works: its connections, its slots, its loop. Built top to bottom, then run."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

from umbel.brokers.base import Delivery
from umbel.events.emitter import Emitter
from umbel.signals import worker_process_shutdown
from umbel.worker.batch import BatchSize
from umbel.worker.consumer import ConsumerLoop
from umbel.worker.coroutine_runner import CoroutineRunner
from umbel.worker.execution import Pipeline
from umbel.worker.guardian import Guardian
from umbel.worker.job import Job
from umbel.worker.line import Line
from umbel.worker.log_setup import name_log_lines
from umbel.worker.middleware.acknowledgement import EarlyAcknowledgement
from umbel.worker.middleware.base import Middleware
from umbel.worker.middleware.current_task import CurrentTask
from umbel.worker.middleware.expiry import Expiry
from umbel.worker.middleware.handlers import Handlers
from umbel.worker.middleware.links import Links
from umbel.worker.middleware.report import Report
from umbel.worker.middleware.result import Remember
from umbel.worker.middleware.retry import RetryOutcome
from umbel.worker.middleware.revocation import Revocation
from umbel.worker.middleware.signals import signals
from umbel.worker.middleware.time_limit import HardTimeLimit, TimeLimits
from umbel.worker.middleware.tracking import Tracking
from umbel.worker.options import WorkerOptions
from umbel.worker.orders import Orders
from umbel.worker.pools import kinds
from umbel.worker.reception import Reception
from umbel.worker.revoked import Revoked
from umbel.worker.telling import sender_of
from umbel.worker.wear import Wear

__all__ = ["FROM_TERMINAL", "WorkerProcess", "behave_as_usual", "run_child"]


class WorkerProcess:
    """Everything one process needs to work on messages; connects when it runs."""

    def __init__(self, options: WorkerOptions, line: Line, emitter: Emitter) -> None:
        self.options = options
        self.emitter = emitter
        self.broker = options.open_broker()
        self.backend = options.open_backend()
        self.kind = kind = kinds.find(options.pool, inside=options.inside)
        self.alarm = kind.alarm()
        self.runner = CoroutineRunner(kind.runner)
        #: What ended the loop, where it does not end the process.
        self.failure: BaseException | None = None
        pipeline = Pipeline(self._middlewares(), options.node, options.accept, self.runner)
        revoked = Revoked(self.broker, lambda: pipeline.ask_first(Revocation(revoked)))
        self.pool = kind.make(pipeline, line.place)
        self.orders = Orders(self)
        self.events = sender_of(self)
        self.reception = Reception(
            options.tasks,
            emitter,
            options.node,
            options.accept,
            rates=options.rates,
            revoked=revoked,
        )
        self.loop = ConsumerLoop(
            broker=self.broker,
            records=self.backend,
            queues=options.queues,
            consumer_id=options.new_consumer_id(),
            reception=self.reception,
            pool=self.pool,
            # Where nothing is settled while a job runs, nothing is taken ahead.
            batch=BatchSize(self.pool.slots, 1 if kind.settles_late else options.prefetch),
            line=line,
            revoked=revoked,
            obey=self.orders.carry_out,
            wear=self._wear(),
            watch=self._watch if kind.guarded else None,
        )
        self.guardian = Guardian(self.loop) if kind.guarded else None

    def run(self) -> None:
        """Work until told to leave. Belongs to the main thread (but see ``inside``)."""
        self.alarm.install()
        if self.guardian is not None:
            self.guardian.start()
        if self.kind.main_thread:
            consumer = threading.Thread(target=self._consume, name="umbel-consumer", daemon=True)
            consumer.start()
            self.pool.run()
            consumer.join()
            if self.failure is not None:
                raise self.failure
        else:
            self.loop.run()
        if self.guardian is not None:
            self.guardian.stop()
        self.close()

    def _consume(self) -> None:
        try:
            self.loop.run()
        except BaseException as error:  # noqa: BLE001 - the end of the process, whatever it was
            if self.options.inside:
                self.failure = error
                self.pool.stop()
                return
            # Without its loop the process is of no use: let the supervisor make another.
            sys.excepthook(*sys.exc_info())
            os._exit(70)

    def interrupt(self, job: Job, error: BaseException) -> None:
        """Raise this in the job, if it runs; where it runs in this process beside others."""
        if job.leash is not None:
            job.leash.interrupt(error)
        self.alarm.interrupt(job.token, error)

    def abandon(self) -> None:
        """Give everything back, also what was being worked on, and leave."""
        self.loop.close()
        self.close()

    def close(self) -> None:
        """Close the connections of this process."""
        self.events.stop()
        self.alarm.close()
        self.runner.close()
        self.broker.close()
        if self.backend is not None:
            self.backend.close()

    def _watch(self) -> None:
        if self.guardian is not None:
            self.guardian.watch()

    def _acknowledge(self, delivery: Delivery) -> bool:
        return self.loop.acknowledge(delivery)

    def _wear(self) -> Wear | None:
        """None: nobody could start another process in its place, or nobody wants that."""
        options = self.options
        jobs, memory = options.max_jobs_per_child, options.max_memory_per_child
        if self.kind.alone or not (jobs or memory):
            return None
        return Wear(jobs or None, memory or None)

    def _middlewares(self) -> list[Middleware]:
        options = self.options
        chain: list[Middleware] = [Report(self.emitter), Expiry()]
        if not self.kind.slots:
            chain.insert(0, HardTimeLimit(options.time_limit))
        chain += [make() for make in options.middlewares]
        if self.backend is not None:
            chain.append(Tracking(self.backend, options.node, options.result_ttl))
        chain += [
            EarlyAcknowledgement(self._acknowledge),
            CurrentTask(),
            *signals(),
            Handlers(),
        ]
        chain.append(Links())
        if self.backend is not None:
            chain.append(
                Remember(
                    node=options.node,
                    serializer=options.result_serializer,
                    ttl=options.result_ttl,
                    extended=options.result_extended,
                )
            )
        limits = TimeLimits(
            self.alarm,
            options.soft_time_limit,
            options.time_limit,
            inside=self.kind.slots or self.kind.alone,
        )
        chain += [RetryOutcome(options.max_deliveries), limits]
        return chain


#: Signals that mean the worker: Ctrl-C and what service managers send.
FROM_TERMINAL = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP)


def _leave_to_the_supervisor(_signum: int, _frame: FrameType | None) -> None:
    return


def behave_as_usual() -> None:
    """In what a task forks: signals end it, and mean nothing to the worker."""
    for number in FROM_TERMINAL:
        signal.signal(number, signal.SIG_DFL)


def run_child(options: WorkerOptions, line: Line, emitter: Emitter) -> int:
    """The life of a forked child; returns its exit code."""
    # Ctrl-C in a terminal and a TERM to the whole group reach children too: only the supervisor
    # decides, and tells them through the pipe. Not SIG_IGN, which programs that a task starts
    # would inherit; and what a task forks itself behaves as it does elsewhere.
    for number in FROM_TERMINAL:
        signal.signal(number, _leave_to_the_supervisor)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    name_log_lines(f"Worker-{line.place.number}", line.place.number)
    os.register_at_fork(after_in_child=behave_as_usual)
    for started in options.process_started:
        started()
    process = WorkerProcess(options, line, emitter)
    process.run()
    line.say_farewell(process.reception.taken)
    worker_process_shutdown.send(sender=options.node, pid=os.getpid(), exitcode=0)
    return 0
