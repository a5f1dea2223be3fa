"""One message on its way from lent to settled.

    lent -> admitted -> ran -> settled
       `-> refused (expired, …) -> settled

Every feature of a task is a ``Middleware`` that takes part in one or more of the three steps; the
order of the list is the order of the work. ``execute`` runs wherever the pool says and returns a
``Settlement``; sending it to the broker is the consumer's work.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from types import CoroutineType
from typing import Any, NoReturn, Self, TypeAlias

from umbel import states
from umbel.app.context import Context
from umbel.app.linking import FAILED, failure_of
from umbel.brokers.base import Settlement, Verdict
from umbel.exceptions import DecodeError, EncodeError, InvalidTaskError, Reject, WorkerTerminate
from umbel.message.failure import ErrorInfo
from umbel.message.protocol import decode_body
from umbel.message.refusals import GENERATORS, explain_generator
from umbel.message.tracebacks import one_line
from umbel.signals import task_internal_error
from umbel.worker.coroutine_runner import CoroutineRunner, plain_runner
from umbel.worker.job import Job, Outcome
from umbel.worker.middleware.base import Middleware

__all__ = ["Pipeline", "conclude"]

logger = logging.getLogger("umbel.worker")


#: Calls a function with a job in a thread, while the event loop goes on.
Threads: TypeAlias = Callable[[Callable[[Job], Outcome | None], Job], Awaitable[Outcome | None]]


class Pipeline:
    """The middlewares of a worker, sorted once into the steps in which they take part."""

    def __init__(
        self,
        middlewares: Sequence[Middleware],
        node: str,
        accept: frozenset[str],
        runner: CoroutineRunner | None = None,
    ) -> None:
        self.node = node
        self.accept = accept
        self._pid = os.getpid()
        self._runner = runner or CoroutineRunner(plain_runner)
        self._blocks = [m.blocks for m in middlewares if _overrides(m, "blocks")]
        self._admit = [m.admit for m in middlewares if _overrides(m, "admit")]
        self._around = [m.around for m in middlewares if _overrides(m, "around")]
        settling = [m for m in reversed(middlewares) if _overrides(m, "settle")]
        self._settle = [m.settle for m in settling if not m.linked_only]
        self._settle_linked = [m.settle for m in settling]

    def leave(self) -> None:
        """This thread runs no more jobs."""
        self._runner.leave()

    def ask_first(self, middleware: Middleware) -> None:
        """From now on ask this one, before the others, whether a job may start. For what most
        workers never need."""
        self._admit = [middleware.admit, *self._admit]

    def execute(self, job: Job) -> Settlement:
        """The whole life of a job. Never raises for anything that a task or message can do."""
        job.began = time.monotonic()
        job.started_at = time.time()
        try:
            outcome = self.admit(job) or self.run(job)
        except WorkerTerminate:
            raise
        except BaseException as error:
            logger.exception("Task %s could not be run", job.message.task)
            _tell_of_internal_error(job, error)
            outcome = Outcome(states.FAILURE, error=error)
        if os.getpid() != self._pid:
            _leave_copy(job, outcome)
        job.runtime = time.monotonic() - job.began
        return self.settle(job, outcome)

    async def execute_coroutine(self, job: Job, threads: Threads) -> Settlement:
        """As ``execute``, for an ``async def`` task on the running event loop. What blocks before
        it begins gets one of the threads."""
        job.began = time.monotonic()
        job.started_at = time.time()
        try:
            if any(blocks(job) for blocks in self._blocks):
                outcome = await threads(self.admit, job)
            else:
                outcome = self.admit(job)
            outcome = outcome or await self._await(job)
        except BaseException as error:
            logger.exception("Task %s could not be run", job.message.task)
            outcome = Outcome(states.FAILURE, error=error)
        if os.getpid() != self._pid:
            _leave_copy(job, outcome)
        job.runtime = time.monotonic() - job.began
        return self.settle(job, outcome)

    async def _await(self, job: Job) -> Outcome:
        from umbel.coroutines import limited  # loaded by now

        try:
            with self._surroundings(job):
                value = await limited(job.call(*job.args, **job.kwargs), job.leash)
        except BaseException as error:  # noqa: BLE001 - SystemExit, CancelledError, … of a task
            return Outcome(states.FAILURE, error=error)
        return _refused(value) if type(value) in GENERATORS else Outcome(states.SUCCESS, value)

    def admit(self, job: Job) -> Outcome | None:
        """Load the arguments and ask every middleware; the first outcome stops the job."""
        try:
            job.args, job.kwargs, job.embed = decode_body(job.message, self.accept)
        except (DecodeError, InvalidTaskError) as error:
            job.context = Context.from_message(job.message, (), {}, hostname=self.node)
            return _failed_already(error)
        job.context = Context.from_message(
            job.message, job.args, job.kwargs, hostname=self.node, embed=job.embed
        )
        if FAILED in job.message.headers:
            failure = failure_of(job.message)
            if failure is not None:
                job.args = (*failure, *job.args[len(failure) :])
        for admit in self._admit:
            outcome = admit(job)
            if outcome is not None:
                return outcome
        return None

    def run(self, job: Job) -> Outcome:
        """Call the user's function inside everything that surrounds it."""
        try:
            with self._surroundings(job):
                value = job.call(*job.args, **job.kwargs)
                if type(value) is CoroutineType:
                    value = self._runner.run(value, job.leash)
        except WorkerTerminate:
            raise
        except BaseException as error:  # noqa: BLE001 - SystemExit, CancelledError, … of a task
            return Outcome(states.FAILURE, error=error)
        return _refused(value) if type(value) in GENERATORS else Outcome(states.SUCCESS, value)

    def _surroundings(self, job: Job) -> AbstractContextManager[Any]:
        surroundings = [around for ask in self._around if (around := ask(job)) is not None]
        if len(surroundings) == 1:  # the request; most tasks need nothing else
            return surroundings[0]
        return _All(surroundings)

    def settle(self, job: Job, outcome: Outcome) -> Settlement:
        """Let every middleware see how it ended, innermost first, and say it to the broker."""
        embed = job.embed
        linked = embed and (
            embed.get("callbacks")
            or embed.get("errbacks")
            or embed.get("chain")
            or embed.get("chord")
        )
        for settle in self._settle_linked if linked else self._settle:
            try:
                outcome = settle(job, outcome)
            except WorkerTerminate:
                raise
            except BaseException as error:
                logger.exception("The end of task %s could not be dealt with", job.message.task)
                _tell_of_internal_error(job, error)
        return conclude(job, outcome)


def _leave_copy(job: Job, outcome: Outcome) -> NoReturn:
    """The task forked, and this is the copy. The job is not its own: how it ends is for whoever
    waits for the process, not for handlers, events or the broker."""
    error, code = outcome.error, 0
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    elif error is not None:
        logger.error("A copy of task %s failed", job.message.task, exc_info=error)
        code = 1
    os._exit(code & 0xFF)


def _tell_of_internal_error(job: Job, error: BaseException) -> None:
    if task_internal_error.receivers:
        task_internal_error.send(
            sender=job.task,
            task_id=job.message.id,
            args=job.args,
            kwargs=job.kwargs,
            request=getattr(job, "context", None),
            exception=error,
            traceback=error.__traceback__,
            einfo=ErrorInfo.of(error),
        )


def _refused(generator: Any) -> Outcome:
    return _failed_already(EncodeError(explain_generator(generator)))


def _failed_already(error: Exception) -> Outcome:
    """A failure that no retry would mend."""
    outcome = Outcome(states.FAILURE, error=error)
    outcome.reason = f"{type(error).__name__}: {one_line(error)}"
    outcome.traceback = outcome.reason
    return outcome


class _All(ExitStack):
    """Entered together, or not at all; left in the opposite order."""

    def __init__(self, surroundings: Sequence[AbstractContextManager[Any]]) -> None:
        super().__init__()
        self._surroundings = surroundings

    def __enter__(self) -> Self:
        with ExitStack() as entered:
            for surrounding in self._surroundings:
                entered.enter_context(surrounding)
            self.push(entered.pop_all())
        return self


def conclude(job: Job, outcome: Outcome) -> Settlement:
    """The settlement that this outcome means for the broker."""
    verdict = Verdict.ACK
    if outcome.state == states.FAILURE:
        verdict = Verdict.REJECT
    elif outcome.state == states.REJECTED:
        requeue = isinstance(outcome.error, Reject) and outcome.error.requeue
        verdict = Verdict.RELEASE if requeue else Verdict.REJECT
    elif outcome.returns:
        verdict = Verdict.RELEASE
    return Settlement(
        delivery=job.delivery,
        verdict=verdict,
        reason=outcome.reason,
        delay=outcome.delay,
        counted=outcome.returns,
        record=outcome.record,
        publish=outcome.following
        if outcome.next_message is None
        else (*outcome.following, outcome.next_message),
    )


def _overrides(middleware: Middleware, step: str) -> bool:
    return getattr(type(middleware), step) is not getattr(Middleware, step)
