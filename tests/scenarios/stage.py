"""Where scenes are played: an app, the pool of its worker, and what tasks wrote down."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from tests.deployment import await_true

from umbel import Umbel

#: Seconds within which everything that is expected has happened, also on a busy machine.
PATIENCE = 40.0

Check = Callable[["Stage", Any], None]


class Scene(NamedTuple):
    """One row of the table: what is sent, and what must be seen."""

    name: str
    send: Callable[[Stage], Any]
    check: Check
    #: Pools that cannot do this (``inside``: workers in the client's process): why, and what is seen
    #: there instead; without a check it is not tried.
    instead: Mapping[str, tuple[str, Check | None]] = MappingProxyType({})
    #: Sent when all others are over, since it disturbs them.
    last: bool = False


class Stage:
    """``pool`` works on the messages of ``app``; ``inside``: in this process."""

    def __init__(
        self, app: Any, pool: str, *, inside: bool, log: Callable[[], str] = lambda: ""
    ) -> None:
        self.app = app
        self.pool = pool
        self.inside = inside
        #: What the worker wrote to its log.
        self.log = log
        #: A client that knows no task.
        url = app.conf.broker_url
        self.stranger = Umbel("stranger", broker=url, backend=url, set_as_current=False)

    def send(self, name: str, *args: Any, **options: Any) -> Any:
        return self.app.tasks[name].apply_async(args, **options)

    def marks(self) -> list[tuple[float, str]]:
        """When, and what."""
        path = Path(os.environ["SCENES_LOG"])
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [(float(line.split(" ", 2)[0]), line.split(" ", 2)[2]) for line in lines]

    def marked(self, what: str) -> list[float]:
        """The moments at which this was written down."""
        return [moment for moment, text in self.marks() if text == what]

    def await_true(self, ask: Callable[[], Any], what: str) -> Any:
        return await_true(ask, PATIENCE, what)

    def await_mark(self, what: str, times: int = 1) -> None:
        self.await_true(lambda: len(self.marked(what)) >= times, f"{what} is written down")

    def where(self, task_id: str) -> Any:
        place = self.app.broker.admin.locate(task_id)
        return place.where if place is not None else None

    def play(self, scenes: Iterable[Scene]) -> dict[str, str]:
        """All of them at once, but the last ones; what went wrong, by name."""
        failures: dict[str, str] = {}
        admin = self.app.broker.admin
        todo = [scene for scene in scenes if self._check_of(scene) is not None]
        admin.pause("held")
        sent = [(scene, self._send(scene, failures)) for scene in todo if not scene.last]
        admin.resume("held")
        for scene, result in sent:
            self._check(scene, result, failures)
        for scene in todo:
            if scene.last:
                self._check(scene, self._send(scene, failures), failures)
        self.stranger.close()
        return failures

    def _check_of(self, scene: Scene) -> Check | None:
        for place in ("inside",) * self.inside + (self.pool,):
            if place in scene.instead:
                return scene.instead[place][1]
        return scene.check

    def _send(self, scene: Scene, failures: dict[str, str]) -> Any:
        try:
            return scene.send(self)
        except Exception:
            failures[scene.name] = traceback.format_exc()

    def _check(self, scene: Scene, result: Any, failures: dict[str, str]) -> None:
        check = self._check_of(scene)
        if scene.name in failures or check is None:
            return
        try:
            check(self, result)
        except (Exception, SystemExit, pytest.fail.Exception):
            failures[scene.name] = traceback.format_exc()
