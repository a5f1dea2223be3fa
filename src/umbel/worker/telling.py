"""What a node tells monitors, and whether it does: put together here, and switched here.

    worker-* events    ``services/heart.py``, in the supervisor
    task-* events      ``services/events.py``, in each process; in the supervisor those of tasks
                       whose process is no more

Where telling costs a write of the store, and nobody may be listening, the node keeps silent until
events are switched on.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from umbel.events.types import ChildExited, MessageRescued, TaskRevoked, WorkerReady
from umbel.worker.services.events import EventSender
from umbel.worker.services.heart import Heart, Tally

if TYPE_CHECKING:
    from umbel.worker.options import WorkerOptions
    from umbel.worker.process import WorkerProcess
    from umbel.worker.worker import Worker

__all__ = ["Telling", "sender_of"]

#: Seconds that saying goodbye may take.
_LAST = 2.0


def sender_of(process: WorkerProcess) -> EventSender:
    """Tells of the tasks of this process."""
    options = process.options
    sender = EventSender(
        bus=process.broker.bus,
        emitter=process.emitter,
        clock=options.clock,
        node=options.node,
        exchange=options.event_exchange,
        private=partial(_private, options),
    )
    sender.switch(on=options.send_events)
    return sender


def _private(options: WorkerOptions) -> list[str]:
    """The names of the tasks that ask for not being told of."""
    return [name for name, task in options.tasks.items() if not task.send_events]


class Telling:
    """Built before the first fork, and switched by one thread, that of remote control."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        options, bus, quiet = worker.options, worker.broker.bus, worker.steward.quiet
        #: Whether events of tasks are sent.
        self.on = options.send_events
        self._silent = bus.keeps
        tally = Tally(worker.board.places)
        self.heart = Heart(
            bus=bus,
            quiet=quiet,
            clock=options.clock,
            node=options.node,
            exchange=options.event_exchange,
            interval=options.event_heartbeat or 2.0,
            tally=tally,
            wanted=self._is_to_beat,
        )
        emitter, self._quiet = worker.emitter, quiet
        emitter.subscribe(WorkerReady, lambda _event: self.heart.start())
        emitter.subscribe(ChildExited, lambda _event: tally.count())
        #: In a solo worker the process tells of all.
        self._sender: EventSender | None = None
        if not worker.solo:
            self._sender = EventSender(
                bus=bus,
                emitter=emitter,
                clock=options.clock,
                node=options.node,
                exchange=options.event_exchange,
                private=partial(_private, options),
                types=(MessageRescued, TaskRevoked),
                quiet=quiet,
            )
            worker.supervisor.close_in_child.append(self._disown)
            self._switch_own()

    def switch(self, on: bool) -> bool:
        """Tell of tasks from now on, or no more; False when that is so already. In any case somebody
        listens, or does so no more."""
        supervisor = self._worker.supervisor
        if on == self.on:
            supervisor.lines.tell("tell_of_tasks", on=on)
            return False
        self.on = on
        with self._quiet:  # a child that is forked later begins with it
            supervisor.options = replace(supervisor.options, send_events=on)
            self._switch_own()
        # Asked and not told: who reads the reply knows that it holds.
        supervisor.lines.ask("tell_of_tasks", on=on)
        self.heart.look()
        return True

    def beat(self) -> None:
        """Send a heartbeat now: somebody has begun to listen."""
        self.switch(on=self.on)
        self.heart.beat()

    def stop(self) -> None:
        """Tell that the node leaves."""
        if self._sender is not None:
            self._sender.stop()
        self.heart.stop()
        self.heart.join(_LAST)

    def _switch_own(self) -> None:
        """With ``quiet``: no child may be forked while the emitter changes."""
        if self._sender is not None:
            self._sender.switch(on=self.on)

    def _disown(self) -> None:
        """In a child, which tells of its tasks itself."""
        if self._sender is not None:
            self._sender.switch(on=False)

    def _is_to_beat(self) -> bool:
        return self._worker.options.event_heartbeat > 0 and (self.on or not self._silent)
