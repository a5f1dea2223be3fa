"""A message being worked on, and how it ended: the two values that middlewares see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from umbel.brokers.base import Delivery
from umbel.leash import Leash
from umbel.message.message import Message
from umbel.message.record import ResultRecord

if TYPE_CHECKING:
    from umbel.app.context import Context
    from umbel.app.task import Task
    from umbel.worker.board import Slot

__all__ = ["Job", "Outcome"]


class Outcome:
    """How a job ended: a state, and the value or the error that led to it."""

    __slots__ = (
        "delay",
        "error",
        "following",
        "next_message",
        "reason",
        "record",
        "returns",
        "state",
        "traceback",
        "value",
    )

    def __init__(self, state: str, value: Any = None, error: BaseException | None = None) -> None:
        self.state = state
        self.value = value
        self.error = error
        #: The formatted traceback of ``error``, where somebody formatted it.
        self.traceback: str | None = None
        #: For RETRY: what is sent in the step that ends the loan.
        self.next_message: Message | None = None
        #: For RETRY: the message itself goes back to its queue, counted.
        self.returns = False
        #: Sent in the same step: callbacks and errbacks.
        self.following: tuple[Message, ...] = ()
        #: What is to be remembered; None: nothing.
        self.record: ResultRecord | None = None
        #: For REJECTED and FAILURE: why, in one line.
        self.reason = ""
        #: For REJECTED with requeue: seconds until it may be lent again.
        self.delay = 0.0


class Job:
    """A message being worked on, from lent to settled. Belongs to one slot."""

    __slots__ = (
        "acknowledged",
        "args",
        "began",
        "call",
        "context",
        "delivery",
        "embed",
        "kwargs",
        "leash",
        "message",
        "runtime",
        "slot",
        "started_at",
        "task",
        "token",
    )

    #: ``task.request`` while the task runs; set when the arguments have been loaded.
    context: Context
    #: Where it runs; set when it begins.
    slot: Slot

    def __init__(
        self,
        delivery: Delivery,
        message: Message,
        task: Task[..., Any],
        call: Callable[..., Any],
    ) -> None:
        self.delivery = delivery
        self.message = message
        self.task = task
        #: What to call: the task itself where its class overrides ``__call__``, else its ``run``.
        self.call = call
        self.args: Sequence[Any] = ()
        self.kwargs: dict[str, Any] = {}
        self.embed: dict[str, Any] = {}
        #: True once the loan has ended before the function started (``acks_late=False``).
        self.acknowledged = False
        #: Wall clock, for people and records.
        self.started_at = 0.0
        #: Monotonic clock, for durations.
        self.began = 0.0
        self.runtime = 0.0
        #: By which a coroutine is interrupted, and what stands for a function that may be.
        self.leash: Leash | None = None
        self.token: object = None

    def forgotten(self, *, failed: bool) -> bool:
        """Whether nothing is to be remembered of it: ``ignore_result`` of the call, else the task."""
        if failed and self.task.store_errors_even_if_ignored:
            return False
        asked = self.message.headers.get("ignore_result")
        return bool(self.task.ignore_result if asked is None else asked)

    @property
    def name(self) -> str:
        """What log lines call it: the shadow name, else the task's."""
        name: str = self.message.headers.get("shadow") or self.message.task
        return name
