"""``EventDispatcher``: sends events of one's own, with Celery's methods.

It publishes in the thread that calls, over the bus of the app's broker. A worker does not use it for
the events of tasks: those are gathered and sent by ``worker/services/events.py``.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from types import TracebackType
from typing import Any, ClassVar, Self

from umbel.current import current_app
from umbel.events.celery_form import Fields, group_of, stamped, utcoffset
from umbel.exceptions import OperationalError

__all__ = ["EventDispatcher"]

#: Events that are kept while the server is away; the oldest are forgotten.
KEPT = 10_000


class EventDispatcher:
    """``groups``: the groups of events that are sent (``{"task", "worker"}``; none named: all).
    ``buffer_group``: those that are gathered, and sent ``buffer_limit`` at a time or by ``flush``.
    ``connection``, ``channel``, ``serializer`` and ``delivery_mode`` are Celery's and have no effect:
    the connection is that of the app's broker, and events are JSON."""

    #: The app to which this class was bound.
    app: ClassVar[Any] = None

    def __init__(  # noqa: PLR0917 - Celery's positions
        self,
        connection: Any = None,
        hostname: str | None = None,
        enabled: bool = True,
        channel: Any = None,
        buffer_while_offline: bool = True,
        app: Any = None,
        serializer: str | None = None,  # noqa: ARG002
        groups: Iterable[str] | None = None,
        delivery_mode: int = 1,  # noqa: ARG002
        buffer_group: Collection[str] | None = None,
        buffer_limit: int = 24,
        on_send_buffered: Callable[[], object] | None = None,
    ) -> None:
        self._app = app or self.app or current_app()
        self.connection = connection
        self.channel = channel
        self.pid = os.getpid()
        self.hostname = hostname or f"gen{self.pid}@{os.uname().nodename}"
        self.headers = {"hostname": self.hostname}
        self.buffer_while_offline = buffer_while_offline
        self.groups = set(groups or ())
        self.buffer_group = frozenset(buffer_group or ())
        self.buffer_limit = buffer_limit
        self.on_send_buffered = on_send_buffered
        #: Called after ``enable`` and ``disable``.
        self.on_enabled: set[Callable[[], object]] = set()
        self.on_disabled: set[Callable[[], object]] = set()
        self.clock = self._app.clock
        self.enabled = enabled
        self._exchange: str = self._app.conf.event_exchange
        self._sending = threading.RLock()
        #: What could not be sent: events, or lists of events, and where to.
        self._unsent: deque[tuple[Any, str]] = deque(maxlen=KEPT)
        self._gathered: dict[str, list[Fields]] = defaultdict(list)

    def send(  # noqa: PLR0917 - Celery's positions
        self,
        type: str,  # noqa: A002 - Celery's name
        blind: bool = False,
        utcoffset: Callable[[], float] = utcoffset,
        retry: bool = False,
        retry_policy: Mapping[str, Any] | None = None,
        Event: Callable[..., Fields] | None = None,  # noqa: N803 - Celery's name
        **fields: Any,
    ) -> None:
        """Send an event of this type (``task-progress``), unless disabled; ``blind``: without
        moving the clock. While the server is away it is kept for ``flush``, or ``OperationalError``
        is raised where ``buffer_while_offline`` is False."""
        group = group_of(type)
        if not self.enabled or (self.groups and group not in self.groups):
            return
        event = self._made(type, fields, blind=blind, offset=utcoffset(), make=Event)
        if group not in self.buffer_group:
            self._publish(event, type, retry=retry, retry_policy=retry_policy)
            return
        with self._sending:
            self._gathered[group].append(event)
            full = len(self._gathered[group]) >= self.buffer_limit
        if full:
            self.flush()
        elif self.on_send_buffered is not None:
            self.on_send_buffered()

    def publish(  # noqa: PLR0917 - Celery's positions
        self,
        type: str,  # noqa: A002
        fields: Mapping[str, Any],
        producer: Any = None,  # noqa: ARG002
        blind: bool = False,
        Event: Callable[..., Fields] | None = None,  # noqa: N803
        retry: bool = False,
        retry_policy: Mapping[str, Any] | None = None,
        **_options: Any,
    ) -> None:
        """Send an event, also while disabled. ``producer`` has no effect."""
        event = self._made(type, fields, blind=blind, offset=utcoffset(), make=Event)
        self._publish(event, type, retry=retry, retry_policy=retry_policy)

    def enable(self) -> None:
        """Send from now on."""
        self.enabled = True
        for told in list(self.on_enabled):
            told()

    def disable(self) -> None:
        """Send nothing from now on; what was gathered is kept for ``flush``."""
        if self.enabled:
            self.enabled = False
            for told in list(self.on_disabled):
                told()

    def flush(self, errors: bool = True, groups: bool = True) -> None:
        """Send what could not be sent (``errors``) and what was gathered (``groups``)."""
        with self._sending:
            again, self._unsent = self._unsent, deque(maxlen=KEPT)
            if not errors:
                self._unsent, again = again, self._unsent
            for event, name in again:
                self._publish(event, name)
            if groups:
                gathered, self._gathered = self._gathered, defaultdict(list)
                for group, events in gathered.items():
                    self._publish(events, f"{group}.multi")

    def extend_buffer(self, other: EventDispatcher) -> None:
        """Take over what another one could not send."""
        self._unsent.extend(other._unsent)

    def close(self) -> None:
        """Nothing is open; here because Celery's is to be closed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _made(
        self,
        name: str,
        fields: Mapping[str, Any],
        *,
        blind: bool,
        offset: float,
        make: Callable[..., Fields] | None,
    ) -> Fields:
        clock = None if blind else self.clock.forward()
        if make is not None:
            stamp = {"hostname": self.hostname, "utcoffset": offset, "pid": self.pid}
            return make(name, **stamp, clock=clock, **fields)
        return stamped(
            name, fields, hostname=self.hostname, pid=self.pid, clock=clock, offset=offset
        )

    def _publish(
        self,
        event: Any,
        name: str,
        *,
        retry: bool = False,
        retry_policy: Mapping[str, Any] | None = None,
    ) -> None:
        topic = f"{self._exchange}/{name.replace('-', '.')}"
        again = (retry_policy or {}).get("max_retries", 3) if retry else 0
        for left in range(int(again or 0), -1, -1):
            try:
                self._app.broker.bus.publish(topic, event, self.headers)
            except OperationalError:
                if left:
                    continue
                if not self.buffer_while_offline:
                    raise
                self._unsent.append((event, name))
            return
