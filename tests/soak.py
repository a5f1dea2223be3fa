"""Many tasks through one worker, and the memory of its processes meanwhile."""

from __future__ import annotations

import math
from statistics import median
from typing import Any

import msgspec
from tests.deployment import Node, await_true

__all__ = ["Memory", "Soak"]

#: Megabytes that the interpreter takes at once from the system.
ARENA = 0.25


class Memory(msgspec.Struct, frozen=True):
    """What all children of a worker hold together; ``megabytes`` without pages of files."""

    megabytes: float
    objects: int


class Soak:
    """Tasks that do nothing, of which every tenth fails with a traceback. ``node`` runs the tasks
    of ``tests.apps.memory``."""

    def __init__(self, app: Any, node: Node) -> None:
        self.app = app
        self.node = node
        self._noop = app.task(name="noop", ignore_result=True)(lambda *_arguments: None)
        self._fail = app.task(name="fail")(lambda _text: None)

    def warm_up(self, count: int) -> None:
        """Until caches are full, also those of the database, which hold what was stored lately."""
        self._fail.delay_many([("x" * 4000,) for _ in range(3000)])
        self.run(count)

    def run(self, count: int) -> None:
        for _ in range(0, count, 1000):
            self._noop.delay_many([(n, "an argument") for n in range(900)])
            self._fail.delay_many([(f"number {n}",) for n in range(100)])
        await_true(self._idle, 120, "all ran")

    def growth(self, steps: int, step: int) -> Memory:
        """For each 100,000 tasks, measured over so many steps of so many tasks: from the middle of
        the first half to the middle of the second. An arena that every process may have begun
        meanwhile is not growth."""
        children = self.node.children()
        found = [self.memory(children)]
        for _ in range(steps):
            self.run(step)
            found.append(self.memory(children))
        assert self.node.children() == children, "the same processes all the time"
        print(*found, sep="\n")
        half = len(found) // 2
        share = (len(found) - half) * step / 100_000
        first, last = found[:half], found[-half:]
        megabytes = median(one.megabytes for one in last) - median(one.megabytes for one in first)
        objects = median(one.objects for one in last) - median(one.objects for one in first)
        return Memory((megabytes - ARENA * len(children)) / share, round(objects / share))

    def memory(self, children: list[int]) -> Memory:
        """Asked until every child has answered."""
        told: dict[int, tuple[float, int]] = {}
        while told.keys() != set(children):
            asked = [self.app.send_task("memory") for _ in children]
            told |= {pid: rest for pid, *rest in (one.get(timeout=20) for one in asked)}
        return Memory(
            math.fsum(megabytes for megabytes, _ in told.values()),
            sum(objects for _, objects in told.values()),
        )

    def _idle(self) -> bool:
        queues = self.app.broker.admin.queues(["celery"])
        return all(one.ready + one.lent == 0 for one in queues)
