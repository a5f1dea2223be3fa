"""From a delivery to a job, or to the reason why there is none."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from umbel.brokers.base import Delivery, Settlement, Verdict
from umbel.events.emitter import Emitter
from umbel.events.types import LoanLost, MessageUndecodable, TaskParked, TaskReceived
from umbel.exceptions import DecodeError, NotRegistered, OperationalError
from umbel.message.message import Message
from umbel.message.protocol import parse_moment
from umbel.signals import task_received, task_rejected, task_unknown
from umbel.worker.job import Job
from umbel.worker.rate_limits import RateLimits
from umbel.worker.request import ReceivedRequest
from umbel.worker.revoked import Revoked

if TYPE_CHECKING:
    from umbel.app.task import Task

__all__ = ["Reception"]


class Reception:
    """Knows the tasks of this worker; asks each task class once how it is called."""

    def __init__(
        self,
        tasks: Mapping[str, Any],
        emitter: Emitter,
        hostname: str = "",
        accept: Collection[str] = (),
        *,
        rates: RateLimits | None = None,
        revoked: Revoked | None = None,
    ) -> None:
        self.tasks = tasks
        self.emitter = emitter
        self.hostname = hostname
        self.accept = accept
        self._rates = rates
        self._revoked = revoked
        self._any_rate: Sequence[float] | memoryview[float] = (
            (0,) if rates is None else rates.active
        )
        #: How many messages of each task became jobs.
        self.taken: dict[str, int] = {}
        self._calls: dict[str, tuple[Task[..., Any], Any]] = {}

    def look_at(self, delivery: Delivery) -> Job | Settlement:
        """The job, or how the loan of a message ends that cannot be run here."""
        message, emitter = delivery.message, self.emitter
        if message is None:
            emitter.emit(MessageUndecodable(queue=delivery.queue, reason=delivery.problem))
            task_rejected.send(self, message=delivery, exc=DecodeError(delivery.problem))
            verdict = Verdict.REJECT
            return Settlement(delivery=delivery, verdict=verdict, reason=delivery.problem)
        name = message.task
        if name not in self.tasks:
            emitter.emit(TaskParked(id=message.id, name=name, queue=delivery.queue))
            task_unknown.send(
                self, message=message, exc=NotRegistered(name), name=name, id=message.id
            )
            return Settlement(delivery=delivery, verdict=Verdict.PARK)
        if self._any_rate[0] and (delay := self._delay(message)):
            return Settlement(delivery=delivery, verdict=Verdict.RELEASE, delay=delay)
        if emitter.wanted(TaskReceived):
            emitter.emit(TaskReceived.of(message))
        known = self._calls.get(name)
        if known is None:
            task = self.tasks[name]
            known = self._calls[name] = (task, task.callable())
            self.taken.setdefault(name, 0)
        self.taken[name] += 1
        if task_received.receivers:
            request = ReceivedRequest(message, known[0], self.hostname, self.accept)
            task_received.send(self, request=request)
        return Job(delivery, message, *known)

    def tell_lost(self, settlement: Settlement) -> None:
        """This loan had been taken back before it was settled."""
        message = settlement.delivery.message
        if message is not None:
            self.emitter.emit(LoanLost(id=message.id, name=message.task))

    def _delay(self, message: Message) -> float:
        """How long it has to wait for its rate limit; 0: it may start, or is not to start at all."""
        assert self._rates is not None
        expires = message.headers.get("expires")
        left = parse_moment(expires) - time.time() if expires else None
        if (left is not None and left <= 0) or self._is_revoked(message):
            return 0.0
        delay = self._rates.wait(message.task)
        return delay if left is None else min(delay, left)

    def _is_revoked(self, message: Message) -> bool:
        revoked = self._revoked
        try:
            return revoked is not None and revoked.version > 0 and revoked.holds(message.id)
        except OperationalError:  # it is asked about again before it starts
            return False
