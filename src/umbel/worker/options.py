"""What a worker is told when it is built: plain values, checked once by whoever reads settings."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import msgspec

from umbel.backends.base import ResultBackend
from umbel.brokers.base import Binding, Broker
from umbel.events.lamport import LamportClock
from umbel.worker.middleware.base import Middleware
from umbel.worker.rate_limits import RateLimits

__all__ = ["WorkerOptions"]


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Durations are seconds. ``open_broker`` and ``open_backend`` make new, unconnected objects:
    each process opens its own."""

    #: The node's name, ``celery@host``.
    node: str
    queues: Sequence[str]
    tasks: Mapping[str, Any]
    open_broker: Callable[[], Broker]
    #: None: results are disabled.
    open_backend: Callable[[], ResultBackend | None]
    accept: frozenset[str]
    result_serializer: str = "json"
    result_ttl: float | None = 86400.0
    result_extended: bool = False
    pool: str = "prefork"
    #: In a thread of a process that has other work, too: no children, no signals, no ``exit``.
    inside: bool = False
    #: Processes, or slots in each process, as the pool has it; and what multiplies the processes.
    concurrency: int = 1
    processes: int = 1
    #: Messages kept at hand for each slot; None: adaptive.
    prefetch: int | None = None
    time_limit: float | None = None
    soft_time_limit: float | None = None
    #: False: the rate limits of tasks are ignored.
    limit_rates: bool = True
    #: What the node's processes share of the rate limits; None: there are none, or not yet.
    rates: RateLimits | None = None
    max_jobs_per_child: int | None = None
    max_deliveries: int = 3
    heartbeat_interval: float = 5.0
    heartbeat_limit: float = 30.0
    #: The least and the most processes, according to the work; and how long idle ones stay.
    autoscale: tuple[int, int] | None = None
    autoscale_keepalive: float = 30.0
    #: KiB resident.
    max_memory_per_child: int | None = None
    drain_timeout: float = 25.0
    #: Above 0: time for what runs before a cold stop; also when nothing runs.
    soft_timeout: float = 0.0
    soft_when_idle: bool = False
    parked_limit: float = 3600.0
    #: Go on trying when the broker does not answer at the start.
    retry_on_startup: bool = True
    health_address: str | None = None
    #: What is said to the broker about the queues.
    bindings: Sequence[Binding] = ()
    #: Those of the queues that are this node's own; they end with it.
    private_queues: Sequence[str] = ()
    #: Monitors are told of tasks; where events go; seconds between heartbeats for monitors, 0: none.
    send_events: bool = False
    event_exchange: str = "celeryev"
    event_heartbeat: float = 2.0
    #: The logical clock of the node, which its processes share.
    clock: LamportClock = msgspec.field(default_factory=LamportClock)
    #: Additional middlewares of integrations, made anew in each process.
    middlewares: Sequence[Callable[[], Middleware]] = ()
    #: For the commands of remote control, which see it; None: there is no remote control.
    app: Any = None
    control_exchange: str = "celery"
    #: Called in each child right after the fork, and in a solo worker at the start.
    process_started: Sequence[Callable[[], None]] = ()

    def with_rates(self) -> Self:
        """These, and the rates of the tasks. For the process from which the others are forked."""
        if not self.limit_rates:
            return self
        rates = {name: task.rate_limit for name, task in self.tasks.items()}
        return msgspec.structs.replace(self, rates=RateLimits(rates))

    def new_consumer_id(self) -> str:
        """Under which this process holds its loans; never given twice."""
        return f"{self.node}/{os.getpid()}/{uuid.uuid4().hex[:12]}"
