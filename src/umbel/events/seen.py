"""One worker and one task as the events told about them: what ``State`` is made of.

Celery's names. Every field of an event becomes an attribute, but for those that would hide a
method. Events may come late and in any order: what happened before what is already known fills
gaps and does not turn back the state (``states.precedence``).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from umbel import states

if TYPE_CHECKING:
    from umbel.events.state import State

__all__ = ["TASK_EVENT_TO_STATE", "Task", "Worker"]

#: The state after an event of a task; one that is not here makes a state of its own name.
TASK_EVENT_TO_STATE: Final = {
    "sent": states.PENDING,
    "received": states.RECEIVED,
    "started": states.STARTED,
    "failed": states.FAILURE,
    "retried": states.RETRY,
    "succeeded": states.SUCCESS,
    "revoked": states.REVOKED,
    "rejected": states.REJECTED,
}

#: What an event says of itself: not to be believed of the task when the event is late.
_OF_THE_EVENT: Final = frozenset(
    {"hostname", "pid", "clock", "timestamp", "utcoffset", "type", "local_received"}
)


def _methods(kind: type) -> frozenset[str]:
    """Names that a field of an event may not hide."""
    return frozenset(
        name
        for name in dir(kind)
        if name.startswith("_") or callable(value := getattr(kind, name)) or hasattr(value, "fget")
    )


class Worker:
    """A worker node."""

    #: How many of the last signs of life are kept.
    heartbeat_max: ClassVar[int] = 4
    #: Percent of ``freq`` after which a worker that says nothing counts as gone.
    expire_window: ClassVar[int] = 200

    _fields: ClassVar[tuple[str, ...]] = (
        *("hostname", "pid", "freq", "heartbeats", "clock", "active", "processed", "loadavg"),
        *("sw_ident", "sw_ver", "sw_sys"),
    )

    def __init__(  # noqa: PLR0917 - Celery's positions
        self,
        hostname: str | None = None,
        pid: int | None = None,
        freq: float = 60,
        heartbeats: list[float] | None = None,
        clock: int = 0,
        active: int | None = None,
        processed: int | None = None,
        loadavg: list[float] | None = None,
        sw_ident: str | None = None,
        sw_ver: str | None = None,
        sw_sys: str | None = None,
    ) -> None:
        self.hostname = hostname
        self.pid = pid
        #: Seconds between heartbeats.
        self.freq = freq
        #: When it was last heard of, in our own time; the newest last.
        self.heartbeats = [] if heartbeats is None else heartbeats
        self.clock = clock or 0
        self.active = active
        self.processed = processed
        self.loadavg = loadavg
        self.sw_ident = sw_ident
        self.sw_ver = sw_ver
        self.sw_sys = sw_sys

    def event(
        self,
        type_: str | None,
        timestamp: float | None = None,
        local_received: float | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        """Take in an event: ``heartbeat``, ``online``, ``offline``; None is any other sign of life."""
        if fields:
            self.update(fields)
        if type_ == "offline":
            self.heartbeats.clear()
        elif timestamp and local_received:
            self.heartbeats.append(local_received)
            if len(self.heartbeats) > 1 and local_received < self.heartbeats[-2]:
                self.heartbeats.sort()
            del self.heartbeats[: -self.heartbeat_max]

    def update(self, f: Mapping[str, Any], **kw: Any) -> None:
        """Set these attributes."""
        for name, value in {**f, **kw}.items():
            if name not in _WORKER_METHODS:
                self.__dict__[name] = value

    @property
    def id(self) -> str:
        return f"{self.hostname}.{self.pid}"

    @property
    def heartbeat_expires(self) -> float:
        """Until when it counts as alive."""
        freq = self.freq if isinstance(self.freq, int | float) else 60
        return self.heartbeats[-1] + freq * self.expire_window / 100

    @property
    def alive(self) -> bool:
        return bool(self.heartbeats) and time.time() < self.heartbeat_expires

    @property
    def status_string(self) -> str:
        return "ONLINE" if self.alive else "OFFLINE"

    def __eq__(self, other: object) -> bool:
        return self.hostname == other.hostname if isinstance(other, Worker) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.hostname)

    def __repr__(self) -> str:
        return f"<Worker: {self.hostname} ({self.status_string} clock:{self.clock})>"


class Task:
    """A task, whoever sent it and wherever it runs."""

    name: str | None = None
    state: str = states.PENDING
    #: Moments of what happened to it.
    sent: float | None = None
    received: float | None = None
    started: float | None = None
    succeeded: float | None = None
    failed: float | None = None
    retried: float | None = None
    revoked: float | None = None
    rejected: float | None = None
    #: The arguments and what came of them, as text.
    args: str | None = None
    kwargs: str | None = None
    result: str | None = None
    exception: str | None = None
    traceback: str | None = None
    runtime: float | None = None
    eta: str | None = None
    expires: str | None = None
    retries: int | None = None
    exchange: str | None = None
    routing_key: str | None = None
    root_id: str | None = None
    parent_id: str | None = None
    #: Who sent it, and who has it.
    client: str | None = None
    worker: Worker | None = None
    #: When the last event happened that counts for the state.
    timestamp: float | None = None
    clock: int = 0

    _fields: ClassVar[tuple[str, ...]] = (
        *("uuid", "name", "state", "received", "sent", "started", "rejected", "succeeded"),
        *("failed", "retried", "revoked", "args", "kwargs", "eta", "expires", "retries"),
        *("worker", "result", "exception", "timestamp", "runtime", "traceback", "exchange"),
        *("routing_key", "clock", "client", "root", "root_id", "parent", "parent_id", "children"),
    )
    _info_fields: ClassVar[tuple[str, ...]] = (
        *("args", "kwargs", "retries", "result", "eta", "runtime", "expires", "exception"),
        *("exchange", "routing_key", "root_id", "parent_id"),
    )
    #: Of a late event of this state, only these fields are taken.
    merge_rules: ClassVar[dict[str, tuple[str, ...]]] = {
        states.RECEIVED: (
            *("name", "args", "kwargs", "parent_id", "root_id", "retries", "eta", "expires"),
        )
    }

    def __init__(
        self,
        uuid: str | None = None,
        cluster_state: State | None = None,
        children: Iterable[str] | None = None,
        **kwargs: Any,
    ) -> None:
        self.uuid = uuid
        self.cluster_state = cluster_state
        #: Ids of the tasks that it sent.
        self.child_ids = set(children or ())
        self.__dict__.update(kwargs)

    def event(
        self,
        type_: str,
        timestamp: float | None = None,
        local_received: float | None = None,  # noqa: ARG002 - Celery's signature
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        """Take in an event: ``received``, ``started``, …"""
        new = {name: value for name, value in (fields or {}).items() if name not in _TASK_METHODS}
        known = TASK_EVENT_TO_STATE.get(type_)
        state = type_.upper() if known is None else known
        if known is not None:
            self.__dict__[type_] = timestamp
        if self._knows_better(state, timestamp):
            kept = self.merge_rules.get(state)
            new = {
                name: value
                for name, value in new.items()
                if name not in _OF_THE_EVENT and (kept is None or name in kept)
            }
        else:
            new["state"], new["timestamp"] = state, timestamp
        self.__dict__.update(new)

    def _knows_better(self, state: str, timestamp: float | None) -> bool:
        """Whether this state lies before the one that is known. After a retry anything may follow,
        and before the end a retry may come at any time."""
        if states.RETRY in (state, self.state):
            late = self.timestamp is not None and timestamp is not None
            return late and self.ready and timestamp < self.timestamp  # type: ignore[operator]
        return states.precedence(state) > states.precedence(self.state)

    def info(
        self, fields: Iterable[str] | None = None, extra: Iterable[str] | None = None
    ) -> dict[str, Any]:
        """What is known of it, for people."""
        names = [*(self._info_fields if fields is None else fields), *(extra or ())]
        found = ((name, getattr(self, name, None)) for name in names)
        return {name: value for name, value in found if value is not None}

    def as_dict(self) -> dict[str, Any]:
        """Every field; other tasks by their ids."""
        others = {"root": self.root_id, "parent": self.parent_id}
        others["children"] = [child.uuid for child in self.children]  # type: ignore[assignment]
        return {
            name: others[name] if name in others else getattr(self, name) for name in self._fields
        }

    @property
    def id(self) -> str | None:
        return self.uuid

    @property
    def ready(self) -> bool:
        return self.state in states.READY_STATES

    @property
    def origin(self) -> str | None:
        """Who spoke of it: the worker, else the client."""
        return self.client if self.worker is None else self.worker.id

    @property
    def parent(self) -> Task | None:
        """The task that sent it, as long as that is remembered."""
        return self._known(self.parent_id)

    @property
    def root(self) -> Task | None:
        """The first task of its tree, as long as that is remembered."""
        return self._known(self.root_id)

    @property
    def children(self) -> set[Task]:
        """The tasks that it sent, as far as they are remembered."""
        return {task for task in map(self._known, list(self.child_ids)) if task is not None}

    def _known(self, uuid: Any) -> Task | None:
        if not isinstance(uuid, str) or self.cluster_state is None:
            return None
        return self.cluster_state.tasks.get(uuid)

    def __eq__(self, other: object) -> bool:
        return self.uuid == other.uuid if isinstance(other, Task) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.uuid)

    def __repr__(self) -> str:
        return f"<Task: {self.name}({self.uuid}) {self.state} clock:{self.clock}>"


_WORKER_METHODS: Final = _methods(Worker) | {"heartbeats", "heartbeat_max", "expire_window"}
_TASK_METHODS: Final = _methods(Task) | {
    "uuid",
    "state",
    "worker",
    "cluster_state",
    "client",
    "child_ids",
}
