"""Tells of a worker's life by signals: the events of its supervisor, under Celery's names."""

from __future__ import annotations

from typing import Any

from umbel.events.emitter import Emitter
from umbel.events.types import WorkerReady, WorkerStopped, WorkerStopping
from umbel.signals import worker_ready, worker_shutdown, worker_shutting_down

__all__ = ["Announcements"]


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
