"""Turns events into log lines. Where they go is ``log_setup.py``. No other file prints.

The texts are Celery's, because tools read them; each line carries its facts as ``extra["data"]``
for structured handlers.
"""

from __future__ import annotations

import logging
from typing import Any

from umbel.events import types
from umbel.events.emitter import Emitter
from umbel.worker.log_formats import JsonFormatter, TaskFormatter

__all__ = ["JsonFormatter", "LogLines", "TaskFormatter"]

lifecycle = logging.getLogger("umbel.worker")
trace = logging.getLogger("umbel.task.trace")

LOG_RECEIVED = "Task %(name)s[%(id)s] received"
LOG_SUCCESS = "Task %(name)s[%(id)s] succeeded in %(runtime)ss: %(result)s"
LOG_RETRY = "Task %(name)s[%(id)s] retry: %(reason)s"
LOG_FAILURE = "Task %(name)s[%(id)s] raised %(how)s: %(error)s\n%(traceback)s"
LOG_EXPECTED = "Task %(name)s[%(id)s] raised expected: %(error)s"
LOG_REJECTED = "Task %(name)s[%(id)s] rejected: %(reason)s"
LOG_REVOKED = "Discarding revoked task: %(name)s[%(id)s] (%(reason)s)"
LOG_UNKNOWN = (
    "Received task %(name)s[%(id)s], which is not registered here: parked until a worker that "
    "knows it comes"
)


#: Seconds before the same name is complained about again.
SAY_AGAIN = 60.0


class LogLines:
    """Subscribes to the events that the present log levels would show."""

    def __init__(self, emitter: Emitter) -> None:
        self.emitter = emitter
        self._quiet_until: dict[str, float] = {}
        self._lost = False

    def subscribe(self) -> None:
        """Call it after logging has been set up: levels decide what is subscribed to."""
        receivers: list[tuple[type[Any], Any, logging.Logger, int]] = [
            (types.TaskReceived, self.received, trace, logging.INFO),
            (types.TaskSucceeded, self.succeeded, trace, logging.INFO),
            (types.TaskRetried, self.retried, trace, logging.INFO),
            (types.TaskFailed, self.failed, trace, logging.ERROR),
            (types.TaskRejected, self.rejected, trace, logging.WARNING),
            (types.TaskRevoked, self.revoked, trace, logging.INFO),
            (types.TaskParked, self.parked, trace, logging.ERROR),
            (types.MessageUndecodable, self.undecodable, lifecycle, logging.ERROR),
            (types.MessageRescued, self.rescued, lifecycle, logging.WARNING),
            (types.LoanLost, self.loan_lost, lifecycle, logging.WARNING),
            (types.BrokerLost, self.broker_lost, lifecycle, logging.ERROR),
            (types.BrokerBack, self.broker_back, lifecycle, logging.WARNING),
            (types.ChildExited, self.child_exited, lifecycle, logging.ERROR),
            (types.WorkerReady, self.ready, lifecycle, logging.INFO),
            (types.WorkerStopping, self.stopping, lifecycle, logging.WARNING),
        ]
        for event_type, receiver, logger, level in receivers:
            if logger.isEnabledFor(level):
                self.emitter.subscribe(event_type, receiver)

    def received(self, event: types.TaskReceived) -> None:
        _line(logging.INFO, LOG_RECEIVED, name=event.name, id=event.id)

    def succeeded(self, event: types.TaskSucceeded) -> None:
        _line(
            logging.INFO,
            LOG_SUCCESS,
            name=event.name,
            id=event.id,
            runtime=round(event.runtime, 6),
            result=event.result,
        )

    def retried(self, event: types.TaskRetried) -> None:
        _line(logging.INFO, LOG_RETRY, name=event.name, id=event.id, reason=event.reason)

    def failed(self, event: types.TaskFailed) -> None:
        if event.expected:
            _line(logging.INFO, LOG_EXPECTED, name=event.name, id=event.id, error=event.error)
            return
        _line(
            logging.ERROR,
            LOG_FAILURE,
            name=event.name,
            id=event.id,
            how="unexpected",
            error=event.error,
            traceback=event.traceback,
        )

    def rejected(self, event: types.TaskRejected) -> None:
        _line(logging.WARNING, LOG_REJECTED, name=event.name, id=event.id, reason=event.reason)

    def revoked(self, event: types.TaskRevoked) -> None:
        reason = "expired" if event.expired else "revoked"
        _line(logging.INFO, LOG_REVOKED, name=event.name, id=event.id, reason=reason)

    def parked(self, event: types.TaskParked) -> None:
        # A producer that is ahead of its workers sends thousands: one line for each name will do.
        if event.timestamp >= self._quiet_until.get(event.name, 0.0):
            self._quiet_until[event.name] = event.timestamp + SAY_AGAIN
            _line(logging.ERROR, LOG_UNKNOWN, name=event.name, id=event.id)

    def undecodable(self, event: types.MessageUndecodable) -> None:
        lifecycle.error(
            "A message on queue %s cannot be read (%s); it is kept among the dead letters",
            event.queue,
            event.reason,
        )

    def rescued(self, event: types.MessageRescued) -> None:
        if event.dead:
            lifecycle.error(
                "Task %s[%s] is a dead letter now: %s", event.name, event.id, event.reason
            )
        else:
            lifecycle.warning("Task %s[%s] was taken back and runs again", event.name, event.id)

    def loan_lost(self, event: types.LoanLost) -> None:
        lifecycle.warning(
            "Task %s[%s] had been taken back from this process before it ended here; "
            "its outcome was not stored",
            event.name,
            event.id,
        )

    def broker_lost(self, event: types.BrokerLost) -> None:
        lifecycle.error("Lost %s: %s. Trying again…", event.url, event.reason)
        self._lost = True

    def broker_back(self, event: types.BrokerBack) -> None:
        lifecycle.log(logging.WARNING if self._lost else logging.INFO, "Connected to %s", event.url)
        self._lost = False

    def child_exited(self, event: types.ChildExited) -> None:
        if not event.expected:
            lifecycle.error("Process %d died: %s", event.pid, event.detail)

    def ready(self, event: types.WorkerReady) -> None:
        lifecycle.info("%s ready.", event.node)

    def stopping(self, event: types.WorkerStopping) -> None:
        if event.warm:
            lifecycle.warning("Stopping: running tasks finish first (signal again to stop at once)")
        else:
            lifecycle.warning("Stopping at once: unfinished work goes back to its queue")


def _line(level: int, text: str, **data: Any) -> None:
    trace.log(level, text, data, extra={"data": data})
