"""Events in Celery's form: dicts, as Celery's monitors read them.

``fields_of`` says what Celery tells of one of our events, ``stamped`` adds what every event has. What
Celery has no word for (a parked message, a lost loan) is not told. Nothing here sends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from umbel.events.types import (
    Event,
    MessageRescued,
    TaskFailed,
    TaskReceived,
    TaskRejected,
    TaskRetried,
    TaskRevoked,
    TaskStarted,
    TaskSucceeded,
)
from umbel.message.message import Message

__all__ = ["TOLD", "Fields", "fields_of", "group_of", "sent_fields", "stamped", "utcoffset"]

#: Of an event in Celery's form.
Fields = dict[str, Any]


def _received(event: TaskReceived) -> Fields:
    return {
        "uuid": event.id,
        "name": event.shadow or event.name,
        "args": event.args,
        "kwargs": event.kwargs,
        "root_id": event.root_id,
        "parent_id": event.parent_id,
        "retries": event.retries,
        "eta": event.eta,
        "expires": event.expires,
    }


def _started(event: TaskStarted) -> Fields:
    return {"uuid": event.id}


def _succeeded(event: TaskSucceeded) -> Fields:
    return {"uuid": event.id, "result": event.result, "runtime": event.runtime}


def _failed(event: TaskFailed) -> Fields:
    return {"uuid": event.id, "exception": event.error, "traceback": event.traceback}


def _retried(event: TaskRetried) -> Fields:
    return {
        "uuid": event.id,
        "exception": event.error or event.reason,
        "traceback": event.traceback,
    }


def _revoked(event: TaskRevoked) -> Fields:
    return {
        "uuid": event.id,
        "terminated": event.terminated,
        "signum": event.signal,
        "expired": event.expired,
    }


def _rejected(event: TaskRejected) -> Fields:
    return {"uuid": event.id, "requeue": event.requeued}


def _rescued(event: MessageRescued) -> Fields | None:
    """Its process died. If it runs again, that will be told as always."""
    if not event.dead:
        return None
    return {"uuid": event.id, "exception": event.reason, "traceback": event.reason}


_FORMS: Mapping[type[Event], tuple[str, Callable[[Any], Fields | None]]] = {
    TaskReceived: ("task-received", _received),
    TaskStarted: ("task-started", _started),
    TaskSucceeded: ("task-succeeded", _succeeded),
    TaskFailed: ("task-failed", _failed),
    TaskRetried: ("task-retried", _retried),
    TaskRevoked: ("task-revoked", _revoked),
    TaskRejected: ("task-rejected", _rejected),
    MessageRescued: ("task-failed", _rescued),
}

#: The types of events that Celery has a form for.
TOLD = tuple(_FORMS)


def fields_of(event: Event) -> tuple[str, Fields] | None:
    """Celery's name of this event and the fields of its own; None: it is not told."""
    form = _FORMS.get(type(event))
    if form is None:
        return None
    name, fields = form[0], form[1](event)
    return None if fields is None else (name, fields)


def sent_fields(message: Message) -> Fields:
    """Of ``task-sent``, which is told by whoever sends."""
    headers = message.headers
    return {
        "uuid": headers["id"],
        "root_id": headers.get("root_id"),
        "parent_id": headers.get("parent_id"),
        "name": headers["task"],
        "args": headers.get("argsrepr"),
        "kwargs": headers.get("kwargsrepr"),
        "retries": message.retries,
        "eta": headers.get("eta"),
        "expires": headers.get("expires"),
        "queue": message.queue,
        "exchange": message.exchange,
        "routing_key": message.routing_key or message.queue,
    }


def stamped(
    name: str,
    fields: Mapping[str, Any],
    *,
    hostname: str,
    pid: int,
    clock: int | None,
    offset: float,
    timestamp: float | None = None,
) -> Fields:
    """The event, with what every event has. A timestamp among the fields stays."""
    if timestamp is None:
        timestamp = time.time()
    event = {"hostname": hostname, "utcoffset": offset, "pid": pid, "clock": clock}
    return {**event, "timestamp": timestamp, **fields, "type": name}


def utcoffset() -> float:
    """Hours that this machine's zone is behind UTC just now."""
    return (time.altzone if time.localtime().tm_isdst else time.timezone) / 3600


def group_of(name: str) -> str:
    """The first word of an event's name: ``task`` of ``task-sent``."""
    return name.partition("-")[0]
