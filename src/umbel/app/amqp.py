"""``app.amqp``, where projects look for queues and routes: ``app.amqp.queues``, ``app.amqp.router``.

What they are is in ``queues.py`` and ``routing.py``. Which of the queues a worker reads is kept here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from umbel.app.annotations import annotate
from umbel.app.routing import Router, read_router
from umbel.exceptions import QueueNotFound
from umbel.spelling import nearest

if TYPE_CHECKING:
    from umbel.app.app import Umbel
    from umbel.app.config import Config
    from umbel.app.queues import Queue
    from umbel.app.registry import TaskRegistry

__all__ = ["Amqp", "AppQueues", "Queues"]


class Queues(Mapping[str, "Queue"]):
    """The declared queues by name, and those of them that workers of this process read."""

    def __init__(self, app: Umbel) -> None:
        self._app = app
        self._chosen: list[str] | None = None

    def __getitem__(self, name: str) -> Queue:
        self._app.router.check(name)
        return self._app.router.queue(name)

    def __contains__(self, name: object) -> bool:
        router = self._app.router
        return name in router.queues or name in router.aliases

    def __iter__(self) -> Iterator[str]:
        return iter(self._app.router.queues)

    def __len__(self) -> int:
        return len(self._app.router.queues)

    @property
    def consume_from(self) -> dict[str, Queue]:
        """What a worker reads when it is not told."""
        router = self._app.router
        names = router.queues if self._chosen is None else self._chosen
        return {name: router.queue(name) for name in names}

    def select(self, include: Iterable[str] | str | None) -> None:
        """Read these queues only; they need not be declared, unless settings say so."""
        if include:
            self._chosen = self.named(include)

    def deselect(self, exclude: Iterable[str] | str | None) -> None:
        """Do not read these."""
        left = self.without(self.consume_from, exclude)
        if exclude:
            self._chosen = left

    def named(self, include: Iterable[str] | str) -> list[str]:
        """The names of these queues, which may be given by their aliases."""
        router = self._app.router
        names = [include] if isinstance(include, str) else list(include)
        for name in names:
            router.check(name)
        return list(dict.fromkeys(router.aliases.get(name, name) for name in names))

    def without(self, names: Iterable[str], exclude: Iterable[str] | str | None) -> list[str]:
        """These names without those, each of which has to be among them."""
        left = list(names)
        aliases = self._app.router.aliases
        for name in [exclude] if isinstance(exclude, str) else exclude or ():
            excluded = aliases.get(name, name)
            if excluded not in left:
                raise QueueNotFound(f"There is no queue {name!r} to leave out{nearest(name, left)}")
            left.remove(excluded)
        return left


class Amqp:
    """Queues and routes of one app, under Celery's names."""

    def __init__(self, app: Umbel) -> None:
        self._app = app
        self.queues = Queues(app)

    @property
    def router(self) -> Router:
        """What ``task_routes`` and ``task_queues`` say."""
        return self._app.router


class AppQueues:
    """The part of an app that knows its queues and routes."""

    strict: ClassVar[bool]
    conf: Config
    tasks: TaskRegistry
    amqp: Amqp
    _router: tuple[object, Router] | None = None

    @property
    def router(self) -> Router:
        """What ``task_routes`` and ``task_queues`` say."""
        read_from = self.conf.__dict__
        if self._router is None or self._router[0] is not read_from:
            self._router = (read_from, read_router(self.conf, strict=self.strict))
            annotate(self.conf.task_annotations, list(self.tasks.values()), strict=self.strict)
        return self._router[1]

    @property
    def queues(self) -> list[str]:
        """The queues that a worker reads when it is not told."""
        return list(self.amqp.queues.consume_from)

    def select_queues(self, queues: Iterable[str] | str | None = None) -> None:
        """Have workers of this process read these queues only."""
        self.amqp.queues.select(queues)
