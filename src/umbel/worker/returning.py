"""What tasks say about runs that did not end well: whether their messages run again, and who is told.

The options are ``acks_on_failure``, ``acks_on_timeout`` and their old common form, ``reject_on_worker_lost``,
``retry_on_worker_lost``, and the errbacks of the call. ``returns`` is asked wherever a run failed, ``LastWills`` where the process
that ran it is gone. How often a message may come back is bounded elsewhere, by ``max_deliveries``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from umbel.app.context import Context
from umbel.app.linking import send_errbacks
from umbel.exceptions import TimeLimitExceeded
from umbel.message.message import Message
from umbel.message.protocol import decode_body, resend
from umbel.worker.links import Following

if TYPE_CHECKING:
    from umbel.app.task import Task

__all__ = ["LastWills", "returns"]

logger = logging.getLogger("umbel.worker")


def returns(task: Task[..., Any], error: BaseException) -> bool:
    """Whether the message goes back to its queue after a run that ended with this error."""
    said = task.acks_on_failure
    if isinstance(error, TimeLimitExceeded):
        said = task.acks_on_timeout
    if said is None:
        said = task.acks_on_failure_or_timeout
    return said is not None and not said


class LastWills:
    """What the tasks of a worker want when their process died or was ended."""

    def __init__(self, tasks: Mapping[str, Any], accept: frozenset[str], node: str) -> None:
        self.tasks = tasks
        self.accept = accept
        self.node = node

    def returns(self, message: Message, error: BaseException) -> bool:
        """``returns`` of the task of this message; a task that is not known here says nothing."""
        task = self.tasks.get(message.task)
        return task is not None and returns(task, error)

    def retry(self, message: Message) -> Message | None:
        """The next run of a task to which the death of the process counts as a retry
        (``retry_on_worker_lost``); None where it does not, or where there were enough."""
        task = self.tasks.get(message.task)
        if task is None or not task.retry_on_worker_lost:
            return None
        retries = (message.headers.get("retries") or 0) + 1
        if task.max_retries is not None and retries > task.max_retries:
            return None
        delay = task.default_retry_delay
        seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
        return resend(message, headers={"retries": retries}, due=time.time() + seconds)

    def gives_up(self, message: Message) -> bool:
        """Whether the death of the process is the end of the task: ``reject_on_worker_lost=False``, or
        there were enough of the retries that it counts as."""
        task = self.tasks.get(message.task)
        if task is None:
            return False
        said = task.reject_on_worker_lost
        return bool(task.retry_on_worker_lost) or (said is not None and not said)

    def following(self, message: Message, error: BaseException) -> tuple[Message, ...]:
        """The errbacks of a task that failed like this. Nothing of the project is called."""
        # Errbacks need no task; any task of this worker knows the app.
        task = self.tasks.get(message.task) or next(iter(self.tasks.values()), None)
        if task is None:
            return ()
        try:
            args, kwargs, embed = decode_body(message, self.accept)
            if not embed.get("errbacks"):
                return ()
            request = Context.from_message(message, args, kwargs, hostname=self.node, embed=embed)
            following = Following(message)
            with task.requested(request):
                traceback = f"{type(error).__name__}: {error}"
                send_errbacks(task.app, request, error, traceback, following.send)
            return following.messages()
        except Exception:
            logger.exception("The errbacks of task %s could not be sent", message.id)
            return ()
