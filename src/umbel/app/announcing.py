"""Signals about tasks that are sent or run, from whoever knows: publisher, worker, eager calls.

Each function is called only where somebody is connected, which the caller has asked. Signals about
an app itself are in ``AppSignals``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from umbel import states
from umbel.exceptions import Retry
from umbel.message.body import decode_body
from umbel.message.failure import ErrorInfo
from umbel.message.message import Message
from umbel.signals import (
    Signal,
    after_task_publish,
    before_task_publish,
    task_failure,
    task_postrun,
    task_prerun,
    task_retry,
    task_sent,
    task_success,
)

if TYPE_CHECKING:
    from umbel.app.context import Context
    from umbel.app.task import Task

__all__ = [
    "AppSignals",
    "Body",
    "before_publishing",
    "began",
    "ended",
    "failed",
    "over",
    "published",
]

#: ``(args, kwargs, embed)``.
Body = tuple[Sequence[Any], Mapping[str, Any], Mapping[str, Any]]


class AppSignals:
    """What an app tells of itself; sender: the app."""

    def __init__(self) -> None:
        #: Before the settings are read.
        self.on_configure = Signal(name="app.on_configure")
        #: The settings have been read; ``source``: ``app.conf``.
        self.on_after_configure = Signal({"source"}, name="app.on_after_configure")
        #: Tasks and settings are complete: before the first call is sent, or a worker begins.
        self.on_after_finalize = Signal(name="app.on_after_finalize")
        #: In each process of a worker, before it works.
        self.on_after_fork = Signal(name="app.on_after_fork")
        self._announced = False

    def _announce_settings(self) -> bool:
        """False when this app has told of its settings before."""
        if self._announced:
            return False
        self._announced = True
        self.on_configure.send(sender=self)
        return True

    def _announce_completion(self, source: object) -> None:
        self.on_after_configure.send(sender=self, source=source)
        self.on_after_finalize.send(sender=self)


def before_publishing(
    message: Message, body: Body, retry_policy: Mapping[str, Any]
) -> tuple[Message, Body]:
    """Send ``before_task_publish``: the message as the receivers left it, but for its body."""
    args, kwargs, embed = body
    body = (args, dict(kwargs), dict(embed))
    properties = {
        "correlation_id": message.correlation_id,
        "reply_to": message.reply_to or "",
        "priority": message.priority,
        **message.properties,
    }
    before_task_publish.send(
        sender=message.task,
        body=body,
        exchange=message.exchange,
        routing_key=message.routing_key or message.queue,
        declare=[message.queue],
        headers=message.headers,
        properties=properties,
        retry_policy=dict(retry_policy),
    )
    changed = replace(
        message,
        correlation_id=properties.pop("correlation_id", None),
        reply_to=properties.pop("reply_to", None) or None,
        priority=properties.pop("priority", message.priority),
        properties=properties,
    )
    return changed, body


def published(messages: Iterable[Message]) -> None:
    """Send ``after_task_publish`` for each of these."""
    for message in messages:
        args, kwargs, embed = decode_body(message, (message.content_type,))
        headers = message.headers
        after_task_publish.send(
            sender=message.task,
            body=(args, kwargs, embed),
            headers=headers,
            exchange=message.exchange,
            routing_key=message.routing_key or message.queue,
        )
        if task_sent.receivers:
            task_sent.send(
                sender=message.task,
                task_id=message.id,
                task=message.task,
                args=args,
                kwargs=kwargs,
                eta=headers.get("eta"),
                taskset=headers.get("group"),
            )


def began(task: Task[..., Any], request: Context) -> None:
    """The function is about to be called; the request is current."""
    task_prerun.send(
        sender=task, task_id=request.id, task=task, args=request.args, kwargs=request.kwargs
    )


def ended(task: Task[..., Any], request: Context, state: str, value: Any, runtime: float) -> None:
    """The outcome of a run is known; ``value`` is the exception where there was one."""
    if state == states.SUCCESS:
        task_success.send(sender=task, result=value, runtime=runtime)
    elif state == states.RETRY and task_retry.receivers:
        task_retry.send(sender=task, request=request, reason=value, einfo=_information(value))
    elif state == states.FAILURE and task_failure.receivers:
        failed(task, request, value)


def failed(task: Task[..., Any], request: Context, error: BaseException) -> None:
    """No retry follows."""
    task_failure.send(
        sender=task,
        task_id=request.id,
        exception=error,
        args=request.args,
        kwargs=request.kwargs,
        traceback=error.__traceback__,
        einfo=ErrorInfo.of(error),
    )


def over(task: Task[..., Any], request: Context, state: str, value: Any) -> None:
    """The last of a run, however it ended."""
    task_postrun.send(
        sender=task,
        task_id=request.id,
        task=task,
        args=request.args,
        kwargs=request.kwargs,
        retval=value,
        state=state,
    )


def _information(reason: BaseException) -> ErrorInfo:
    cause = reason.exc if isinstance(reason, Retry) and reason.exc is not None else reason
    return ErrorInfo(reason, ErrorInfo.of(cause).traceback)
