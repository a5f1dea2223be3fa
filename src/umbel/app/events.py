"""``app.events`` and ``app.clock``: what a program sends and reads events with, under Celery's names.

The classes are in ``umbel.events``; here they are bound to an app. Sending ``task-sent``, which is the
one event that calls tell by themselves, is here as well.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from umbel.app.connection import AppConnections
from umbel.app.watching import Watching
from umbel.events.celery_form import sent_fields, stamped, utcoffset
from umbel.events.dispatcher import EventDispatcher
from umbel.events.lamport import LamportClock
from umbel.exceptions import OperationalError
from umbel.message.message import Message

if TYPE_CHECKING:
    from umbel.app.app import Umbel
    from umbel.app.task import Task

__all__ = ["AppEvents", "Events", "SentEvents", "TaskEvents"]

logger = logging.getLogger("umbel.events")


class Events(Watching):
    """``app.events``."""

    def __init__(self, app: Umbel) -> None:
        self._app = app

    @cached_property
    def Dispatcher(self) -> type[EventDispatcher]:  # noqa: N802 - Celery's name
        """``EventDispatcher`` of this app."""
        return type("EventDispatcher", (EventDispatcher,), {"app": self._app})

    @contextmanager
    def default_dispatcher(
        self,
        hostname: str | None = None,
        enabled: bool = True,
        buffer_while_offline: bool = False,
    ) -> Iterator[EventDispatcher]:
        """``with app.events.default_dispatcher() as dispatcher: dispatcher.send("task-…", …)``."""
        with self.Dispatcher(
            hostname=hostname, enabled=enabled, buffer_while_offline=buffer_while_offline
        ) as dispatcher:
            yield dispatcher


class AppEvents(AppConnections):
    """The part of an app that knows its events and its logical clock."""

    @cached_property
    def events(self) -> Events:
        """To send and to read events."""
        return Events(cast("Umbel", self))

    @cached_property
    def clock(self) -> LamportClock:
        """The logical clock of this app."""
        return LamportClock()


class TaskEvents:
    """What a task sends events with."""

    def send_event(
        self,
        type_: str,
        retry: bool = True,
        retry_policy: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> None:
        """Tell monitors something about the run: ``self.send_event("task-progress", done=3)``. It is
        sent at once, whether or not the worker sends events of its own."""
        task = cast("Task[..., Any]", self)
        app, request = task.app, task.request
        if retry_policy is None:
            retry_policy = app.conf.task_publish_retry_policy
        with app.events.default_dispatcher(hostname=request.hostname) as dispatcher:
            dispatcher.send(
                type_, uuid=request.id, retry=retry, retry_policy=retry_policy, **fields
            )


class SentEvents:
    """Tells of messages that were sent, where ``task_send_sent_event`` asks for it. What cannot be
    told is forgotten: the messages themselves have been taken."""

    def __init__(self, app: Umbel) -> None:
        self._app = app
        self._exchange = app.conf.event_exchange
        self._timeout = app.conf.publish_timeout

    def tell(self, messages: Sequence[Message]) -> None:
        """One event for each, in one go."""
        pid = os.getpid()
        hostname, offset, clock = f"gen{pid}@{os.uname().nodename}", utcoffset(), self._app.clock
        events = [
            stamped(
                "task-sent",
                sent_fields(message),
                hostname=hostname,
                pid=pid,
                clock=clock.forward(),
                offset=offset,
            )
            for message in messages
        ]
        key, told = ("sent", events[0]) if len(events) == 1 else ("multi", events)
        try:
            self._app.broker.bus.publish(
                f"{self._exchange}/task.{key}", told, {"hostname": hostname}, self._timeout
            )
        except OperationalError as error:
            logger.warning("Could not tell of %d sent tasks: %s", len(events), error)

    async def tell_async(self, messages: Sequence[Message]) -> None:
        """``tell``, while the event loop goes on."""
        from umbel.offload import offload

        await offload(self.tell, messages)
