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
        with self.worker.steward.quiet:  # a child that is forked later begins with it
            supervisor.options = replace(supervisor.options, queues=self.queues)
        self.lines.ask("consume", queues=list(queues))

    def terminate(self, ids: Sequence[str], signal: int) -> list[str]:
        """End these tasks where they run on this node; those found. With ``prefork`` their processes
        are killed, whatever the signal; in the other pools ``TaskTerminated`` is raised inside."""
        worker = self.worker
        if not kinds.find(worker.options.pool).ends_jobs:
            told = self.lines.ask("interrupt", ids=list(ids))
            return [task_id for found in told for task_id in found or ()]
        worker.ended_by |= dict.fromkeys(ids, signal)
        found = worker.supervisor.terminate(frozenset(ids))
        for task_id in set(ids).difference(found):  # most run on other nodes, if at all
            worker.ended_by.pop(task_id, None)
        return found

    def leave(self) -> None:
        """Finish what runs and end the worker, as after TERM."""
        if self.worker.line is not None:
            self.worker.line.drain()
        else:
            self.worker.supervisor.signals.stop()
