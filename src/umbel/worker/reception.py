"""From a delivery to a job, or to the reason why there is none."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from umbel.brokers.base import Delivery, Settlement, Verdict
from umbel.events.emitter import Emitter
from umbel.events.types import MessageUndecodable, TaskParked, TaskReceived
from umbel.exceptions import DecodeError, NotRegistered
from umbel.signals import task_received, task_rejected, task_unknown
from umbel.worker.job import Job
from umbel.worker.request import ReceivedRequest

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
    ) -> None:
        self.tasks = tasks
        self.emitter = emitter
        self.hostname = hostname
        self.accept = accept
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
        if emitter.wanted(TaskReceived):
            emitter.emit(TaskReceived.of(message))
        known = self._calls.get(name)
        if known is None:
            task = self.tasks[name]
            known = self._calls[name] = (task, task.callable())
        if task_received.receivers:
            request = ReceivedRequest(message, known[0], self.hostname, self.accept)
            task_received.send(self, request=request)
        return Job(delivery, message, *known)
