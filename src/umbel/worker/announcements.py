"""Tells of a worker's life by signals: the events of its supervisor, under Celery's names."""

from __future__ import annotations

import contextlib
from typing import Any

from umbel.app.announcing import failed
from umbel.app.context import Context
from umbel.brokers.base import Delivery
from umbel.events.emitter import Emitter
from umbel.events.types import WorkerReady, WorkerStopped, WorkerStopping
from umbel.exceptions import DecodeError, InvalidTaskError
from umbel.message.message import Message
from umbel.message.protocol import decode_body
from umbel.signals import (
    task_failure,
    task_revoked,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)
from umbel.worker.options import WorkerOptions

__all__ = ["Announcements", "tell_of_lost", "tell_of_terminated"]


class Announcements:
    """``worker``: the sender."""

    def __init__(self, worker: Any) -> None:
        self.worker = worker

    def subscribe(self, emitter: Emitter) -> None:
        """From here on, tell."""
        emitter.subscribe(WorkerReady, self._ready)
        emitter.subscribe(WorkerStopping, self._stopping)
        emitter.subscribe(WorkerStopped, self._stopped)

    def _ready(self, _event: WorkerReady) -> None:
        worker_ready.send(sender=self.worker)

    def _stopping(self, event: WorkerStopping) -> None:
        worker_shutting_down.send(
            sender=event.node,
            sig="SIGTERM" if event.warm else "SIGQUIT",
            how="Warm" if event.warm else "Cold",
            exitcode=0 if event.warm else 1,
        )

    def _stopped(self, _event: WorkerStopped) -> None:
        worker_shutdown.send(sender=self.worker)


def tell_of_lost(options: WorkerOptions, delivery: Delivery, error: BaseException) -> None:
    """A task failed whose process cannot tell: it died, or was ended by the hard time limit."""
    message = delivery.message
    task = None if message is None else options.tasks.get(message.task)
    if message is None or task is None or not task_failure.receivers:
        return
    request = _request(options, message)
    with task.requested(request):
        failed(task, request, error)


def tell_of_terminated(options: WorkerOptions, delivery: Delivery, number: int) -> None:
    """A task was ended together with its process, because somebody revoked it."""
    message = delivery.message
    task = None if message is None else options.tasks.get(message.task)
    if message is None or task is None or not task_revoked.receivers:
        return
    task_revoked.send(
        sender=task,
        request=_request(options, message),
        terminated=True,
        signum=number,
        expired=False,
    )


def _request(options: WorkerOptions, message: Message) -> Context:
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    with contextlib.suppress(DecodeError, InvalidTaskError):
        args, kwargs, _embed = decode_body(message, options.accept)
    return Context.from_message(message, args, kwargs, hostname=options.node)
