"""``app.control.inspect()``: questions to workers. They change nothing.

Each gives ``{node: reply}``, or None when nobody answered, as Celery does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from umbel.app.control.replies import Reply, flatten_reply
from umbel.current import current_app

if TYPE_CHECKING:
    from umbel.app.app import Umbel

__all__ = ["Inspect"]

#: ``{node: reply}``.
Replies = dict[str, Any]


class Inspect:
    """Questions to the same nodes: those named by ``destination``, or that fit ``pattern``, or all."""

    def __init__(  # noqa: PLR0917 - Celery's positions
        self,
        destination: Iterable[str] | str | None = None,
        timeout: float | None = 1.0,
        callback: Callable[[Reply], object] | None = None,
        connection: Any = None,
        app: Umbel | None = None,
        limit: int | None = None,
        pattern: str | None = None,
        matcher: str | None = None,
    ) -> None:
        self.app: Umbel = current_app() if app is None else app
        self.destination = destination
        self.timeout = timeout
        self.callback = callback
        self.connection = connection
        self.limit = limit
        self.pattern = pattern
        self.matcher = matcher

    def request(self, command: str, arguments: Mapping[str, Any] | None = None) -> Replies | None:
        """Any question, by its name: also those that a project has made."""
        replies = self.app.control.broadcast(
            command,
            arguments,
            destination=self.destination,
            reply=True,
            timeout=self.timeout,
            limit=self.limit,
            callback=self.callback,
            pattern=self.pattern,
            matcher=self.matcher,
        )
        return flatten_reply(replies) if replies else None

    def _request(self, command: str, **kwargs: Any) -> Replies | None:
        """Celery's name for ``request``, which projects use."""
        return self.request(command, kwargs)

    def active(self, safe: bool | None = None) -> Replies | None:
        """The tasks that run now."""
        return self.request("active", {"safe": safe})

    def reserved(self, safe: bool | None = None) -> Replies | None:  # noqa: ARG002 - Celery's
        """The tasks that a worker has fetched and not begun."""
        return self.request("reserved")

    def scheduled(self, safe: bool | None = None) -> Replies | None:  # noqa: ARG002 - Celery's
        """The tasks that wait for their moment."""
        return self.request("scheduled")

    def revoked(self) -> Replies | None:
        """Ids of revoked tasks."""
        return self.request("revoked")

    def registered(self, *taskinfoitems: str) -> Replies | None:
        """Names of the tasks that a worker knows, with these attributes of each."""
        return self.request("registered", {"taskinfoitems": taskinfoitems})

    registered_tasks = registered

    def query_task(self, *ids: str | Sequence[str]) -> Replies | None:
        """Where these tasks are: ``{node: {id: [state, request]}}``."""
        if len(ids) == 1 and not isinstance(ids[0], str):
            return self.request("query_task", {"ids": list(ids[0])})
        return self.request("query_task", {"ids": ids})

    def active_queues(self) -> Replies | None:
        """The queues that a worker reads."""
        return self.request("active_queues")

    def stats(self) -> Replies | None:
        """Counters, pool, broker, resources."""
        return self.request("stats")

    def report(self) -> Replies | None:
        """Versions and settings, as text for a bug report."""
        return self.request("report")

    def conf(self, with_defaults: bool = False) -> Replies | None:
        """The settings, without passwords; with those that nobody set, too."""
        return self.request("conf", {"with_defaults": with_defaults})

    def clock(self) -> Replies | None:
        """The logical clock."""
        return self.request("clock")

    def ping(self, destination: Iterable[str] | str | None = None) -> Replies | None:
        """Who is there: ``{node: {"ok": "pong"}}``. A ``destination`` holds from now on, as with Celery."""
        if destination:
            self.destination = destination
        return self.request("ping")

    def hello(self, from_node: str, revoked: Any = None) -> Replies | None:
        """What nodes tell each other when they start."""
        return self.request("hello", {"from_node": from_node, "revoked": revoked})

    def memsample(self) -> Replies | None:
        """Take and give a sample of the memory that is in use."""
        return self.request("memsample")

    def memdump(self, samples: int = 10) -> Replies | None:
        """The samples that were taken."""
        return self.request("memdump", {"samples": samples})

    def objgraph(
        self,
        type: str = "Request",  # noqa: A002 - Celery's name
        n: int = 200,
        max_depth: int = 10,
    ) -> Replies | None:
        """A graph of the objects of a type."""
        return self.request("objgraph", {"num": n, "max_depth": max_depth, "type": type})
