"""What a command of remote control knows of its node, and what it can have it do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from umbel.worker.line import Lines
from umbel.worker.pools import kinds

if TYPE_CHECKING:
    from umbel.worker.worker import Worker

__all__ = ["NodeState"]


class NodeState:
    """One node, as commands see it. Belongs to the thread of remote control."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.app = worker.options.app
        #: The node's name.
        self.hostname: str = worker.options.node
        #: To the processes that run tasks.
        self.lines: Lines = worker.supervisor.lines
        self.started_at = time.time()
        #: What the node takes messages of.
        self.queues: tuple[str, ...] = tuple(worker.options.queues)

    def take_from(self, queues: Sequence[str]) -> None:
        """From now on take messages of exactly these queues. A process changes over when the tasks
        that it holds have ended."""
        self.queues = tuple(queues)
        supervisor = self.worker.supervisor
        supervisor.options = replace(supervisor.options, queues=self.queues)
        self.lines.ask("consume", queues=list(queues))

    def terminate(self, ids: Sequence[str], signal: int) -> list[str]:
        """End these tasks where they run on this node; those found. With ``prefork`` their processes
        are killed, whatever the signal; in the other pools ``TaskTerminated`` is raised inside."""
        worker = self.worker
        for task_id in ids:
            worker.ended_by[task_id] = signal
        if kinds.find(worker.options.pool).ends_jobs:
            return worker.supervisor.terminate(frozenset(ids))
        told = self.lines.ask("interrupt", ids=list(ids))
        return [task_id for found in told for task_id in found or ()]

    def leave(self) -> None:
        """Finish what runs and end the worker, as after TERM."""
        if self.worker.line is not None:
            self.worker.line.drain()
        else:
            self.worker.supervisor.signals.stop()
