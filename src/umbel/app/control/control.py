"""``app.control``: telling workers what to do. Names and signatures are Celery's.

A command travels over the broker's bus and is forgotten; what it changed in a worker is over with that
worker. Only a revocation is kept, by the broker, before anybody is told.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from umbel.app.control.broadcasting import ask, living_nodes, missing, tell
from umbel.app.control.inspection import Inspect
from umbel.app.control.replies import Reply
from umbel.exceptions import NodeNotFound
from umbel.message.audience import Audience
from umbel.message.stamps import marks_of
from umbel.result.revoking import REMEMBERED, ids_of, revoke, signal_number

if TYPE_CHECKING:
    from umbel.app.app import Umbel

__all__ = ["Control"]

logger = logging.getLogger("umbel.app.control")

Destination = Iterable[str] | str | None
#: Of commands that are told with ``reply=True``; else None.
Replies = list[Reply] | None

#: Seconds to wait for replies, where nobody says.
_TIMEOUT = 1.0
_TERM = "SIGTERM"


class Control:
    """Commands to the workers of one app. Each takes the keyword arguments of ``broadcast``, among
    them ``reply=True``: then it gives a list of ``{node: reply}``."""

    def __init__(self, app: Umbel) -> None:
        self.app = app

    def broadcast(  # noqa: PLR0917 - Celery's positions
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        destination: Destination = None,
        connection: Any = None,  # noqa: ARG002
        reply: bool = False,
        timeout: float | None = _TIMEOUT,
        limit: int | None = None,
        callback: Callable[[Reply], object] | None = None,
        channel: Any = None,  # noqa: ARG002
        pattern: str | None = None,
        matcher: str | None = None,
        **extra_kwargs: Any,
    ) -> Any:
        """Tell a command to all workers, or to those named by ``destination``, or whose name fits
        ``pattern`` (``matcher``: ``glob`` or ``pcre``).

        With ``reply``, gives the replies: as soon as every worker that heard it and is meant has
        answered, when there are ``limit`` of them, or after ``timeout`` seconds. Without it, a
        ``destination`` that no living worker has is a ``NodeNotFound``, after the others were told.
        """
        audience = Audience(destination, pattern, matcher)
        seconds = _seconds(timeout)
        given = {**(arguments or {}), **extra_kwargs}
        if reply:
            return ask(
                self.app, command, given, audience, timeout=seconds, limit=limit, callback=callback
            )
        # Before they are told: who was told to leave may be gone soon.
        nodes = living_nodes(self.app) if audience.destination else []
        reached = tell(self.app, command, given, audience, seconds)
        if reached is None or reached <= len(
            nodes
        ):  # else nodes of Celery, unknown here, listen too
            self._refuse_missing(audience.destination or (), nodes)
        return None

    def inspect(  # noqa: PLR0917 - Celery's positions
        self,
        destination: Destination = None,
        timeout: float | None = _TIMEOUT,
        callback: Callable[[Reply], object] | None = None,
        connection: Any = None,
        app: Umbel | None = None,
        limit: int | None = None,
        pattern: str | None = None,
        matcher: str | None = None,
    ) -> Inspect:
        """Questions: ``app.control.inspect().active()``."""
        return Inspect(
            destination, timeout, callback, connection, app or self.app, limit, pattern, matcher
        )

    def ping(
        self, destination: Destination = None, timeout: float | None = _TIMEOUT, **kwargs: Any
    ) -> list[Reply]:
        """Who is there: a list of ``{node: {"ok": "pong"}}``."""
        replies: list[Reply] = self.broadcast(
            "ping", destination=destination, timeout=timeout, **{"reply": True, **kwargs}
        )
        return replies

    # Tasks ------------------------------------------------------------------------------------------

    def revoke(
        self,
        task_id: Any,
        destination: Destination = None,
        terminate: bool = False,
        signal: str = _TERM,
        **kwargs: Any,
    ) -> Replies:
        """Take tasks back: an id, a result, or several of them. What has not begun never starts, on
        no worker, also after restarts. With ``terminate``, what runs is ended, by ``signal``."""
        ids = ids_of(task_id)
        if not ids:
            return [] if kwargs.get("reply") else None
        signal_number(signal)  # a slip is refused before anything is written down
        revoke(self.app, ids, self.app.backend)
        told = {
            "task_id": ids[0] if len(ids) == 1 and not _several(task_id) else ids,
            "terminate": terminate,
            "signal": signal,
        }
        return self._tell("revoke", told, destination, kwargs)

    def terminate(
        self, task_id: Any, destination: Destination = None, signal: str = _TERM, **kwargs: Any
    ) -> Replies:
        """Take tasks back, and end what runs of them."""
        return self.revoke(task_id, destination, terminate=True, signal=signal, **kwargs)

    def revoke_by_stamped_headers(
        self,
        headers: Mapping[str, Any],
        destination: Destination = None,
        terminate: bool = False,
        signal: str = _TERM,
        **kwargs: Any,
    ) -> Replies:
        """Take back the tasks that carry one of these stamps: none of them starts, on any worker,
        also after restarts. With ``terminate`` those that run are ended."""
        signal_number(signal)
        self.app.broker.revoke(sorted(marks_of(headers)), time.time() + REMEMBERED)
        told = {"headers": dict(headers), "terminate": terminate, "signal": signal}
        return self._tell("revoke_by_stamped_headers", told, destination, kwargs)

    def rate_limit(
        self,
        task_name: str,
        rate_limit: float | str | None,
        destination: Destination = None,
        **kwargs: Any,
    ) -> Replies:
        """Start this task so often at most, per worker: ``"10/m"``; 0: as often as there is work."""
        told = {"task_name": task_name, "rate_limit": rate_limit}
        return self._tell("rate_limit", told, destination, kwargs)

    def time_limit(
        self,
        task_name: str,
        soft: float | None = None,
        hard: float | None = None,
        destination: Destination = None,
        **kwargs: Any,
    ) -> Replies:
        """Limit the running time of this task, from its next start on."""
        told = {"task_name": task_name, "hard": hard, "soft": soft}
        return self._tell("time_limit", told, destination, kwargs)

    def purge(self, connection: Any = None) -> int:  # noqa: ARG002 - Celery's position
        """Delete the ready messages of all queues of the app; how many."""
        return sum(self.app.purge(queue) for queue in self.app.queues)

    discard_all = purge

    # Queues -----------------------------------------------------------------------------------------

    def add_consumer(  # noqa: PLR0917 - Celery's positions
        self,
        queue: str,
        exchange: str | None = None,
        exchange_type: str = "direct",
        routing_key: str | None = None,
        options: Mapping[str, Any] | None = None,
        destination: Destination = None,
        **kwargs: Any,
    ) -> Replies:
        """Read one queue more."""
        told = {
            "queue": queue,
            "exchange": exchange,
            "exchange_type": exchange_type,
            "routing_key": routing_key,
            **(options or {}),
        }
        return self._tell("add_consumer", told, destination, kwargs)

    def cancel_consumer(
        self, queue: str, destination: Destination = None, **kwargs: Any
    ) -> Replies:
        """Read this queue no more."""
        return self._tell("cancel_consumer", {"queue": queue}, destination, kwargs)

    # Processes --------------------------------------------------------------------------------------

    def pool_grow(self, n: int = 1, destination: Destination = None, **kwargs: Any) -> Replies:
        """Add so many processes or slots."""
        return self._tell("pool_grow", {"n": n}, destination, kwargs)

    def pool_shrink(self, n: int = 1, destination: Destination = None, **kwargs: Any) -> Replies:
        """Give up so many processes or slots, when they are idle."""
        return self._tell("pool_shrink", {"n": n}, destination, kwargs)

    def autoscale(
        self,
        max: int,  # noqa: A002 - Celery's names
        min: int,  # noqa: A002
        destination: Destination = None,
        **kwargs: Any,
    ) -> Replies:
        """Other limits for autoscaling."""
        return self._tell("autoscale", {"max": max, "min": min}, destination, kwargs)

    def pool_restart(
        self,
        modules: Sequence[str] | None = None,
        reload: bool = False,
        reloader: Any = None,
        destination: Destination = None,
        **kwargs: Any,
    ) -> Replies:
        """Replace the processes."""
        told = {"modules": list(modules or ()), "reload": reload, "reloader": reloader}
        return self._tell("pool_restart", told, destination, kwargs)

    def shutdown(self, destination: Destination = None, **kwargs: Any) -> Replies:
        """End, warmly: what runs is finished."""
        return self._tell("shutdown", {}, destination, kwargs)

    # Events -----------------------------------------------------------------------------------------

    def enable_events(self, destination: Destination = None, **kwargs: Any) -> Replies:
        """Send events of tasks."""
        return self._tell("enable_events", {}, destination, kwargs)

    def disable_events(self, destination: Destination = None, **kwargs: Any) -> Replies:
        """Send no events of tasks."""
        return self._tell("disable_events", {}, destination, kwargs)

    def heartbeat(self, destination: Destination = None, **kwargs: Any) -> Replies:
        """Send an event heartbeat now."""
        return self._tell("heartbeat", {}, destination, kwargs)

    def election(
        self,
        id: str,  # noqa: A002 - Celery's name
        topic: str,
        action: Any = None,
        connection: Any = None,  # noqa: ARG002 - Celery's position
    ) -> None:
        """Have the workers choose one of them, who does ``action``."""
        self.broadcast("election", {"id": id, "topic": topic, "action": action})

    # ------------------------------------------------------------------------------------------------

    def _tell(
        self,
        command: str,
        arguments: Mapping[str, Any],
        destination: Destination,
        options: Mapping[str, Any],
    ) -> Replies:
        replies: Replies = self.broadcast(command, arguments, destination, **options)
        return replies

    def _refuse_missing(self, destination: Sequence[str], nodes: list[str]) -> None:
        """Refuse names of nodes that nobody has; with a lenient app, warn."""
        for name in destination:
            if name not in nodes:
                if self.app.strict:
                    raise NodeNotFound(missing(name, nodes))
                logger.warning("%s", missing(name, nodes))


def _seconds(timeout: float | None) -> float:
    if timeout is None:
        return _TIMEOUT
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout >= 0:
        raise ValueError(f"timeout must be seconds, 0 or more, not {timeout!r}")
    return float(timeout)


def _several(tasks: object) -> bool:
    return not isinstance(tasks, str) and not hasattr(tasks, "id")
