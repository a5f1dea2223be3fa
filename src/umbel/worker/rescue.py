"""What becomes of the messages of a consumer that died: each goes back, or to the dead letters.

The message whose job was running counts as delivered once more; after ``max_deliveries`` it is
dead-lettered with WorkerLostError, so that a task that kills its process cannot do so for ever.
Those that had only been taken ahead go back as they were. So do those whose jobs had ended and were
not settled yet: they run again, but it was not they who killed the process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum

import msgspec
from msgspec.structs import replace

from umbel import states
from umbel.brokers.base import Broker, Delivery, RecordStore, Settlement, Verdict
from umbel.exceptions import TimeLimitExceeded, WorkerLostError
from umbel.message.failure import describe
from umbel.message.message import Message
from umbel.message.record import ResultRecord
from umbel.result.revoking import revoked_record
from umbel.worker.returning import LastWills

__all__ = ["TERMINATED", "Cause", "Death", "Rescuer"]

#: The reason in the settlement and in the record of a task that was ended while it ran.
TERMINATED = "terminated"

#: Loans settled in one round trip.
_CHUNK = 200


class Cause(Enum):
    """Why a consumer's loans are taken back."""

    #: The process died; what it was running counts.
    CRASHED = "crashed"
    #: The supervisor ended it because its job was past the hard time limit.
    TIME_LIMIT = "time limit"
    #: The supervisor ended it because its job was revoked while it ran.
    TERMINATED = "terminated"
    #: The supervisor ended it because the worker stops; nothing counts.
    STOPPED = "stopped"
    #: Nobody has heard of it for the heartbeat limit; nobody knows what it was running.
    SILENT = "silent"


class Death(msgspec.Struct, frozen=True, kw_only=True):
    """A consumer that will not settle its loans itself."""

    consumer_id: str
    cause: Cause
    #: Loans whose jobs were running.
    begun: frozenset[str] = frozenset()
    #: For TIME_LIMIT and TERMINATED: the loan of the job in question; and the limit in seconds.
    overdue: str = ""
    limit: float = 0.0
    #: The tasks whose loans had ended before they began (``acks_late=False``), and whose results
    #: are to be remembered.
    acknowledged: frozenset[str] = frozenset()
    #: For people: "signal 9", "exit code 3", ….
    detail: str = ""


class Rescuer:
    """Belongs to one thread. ``rescue`` and ``settle`` may be called twice for one death, and by
    several workers at once: each loan still ends exactly once."""

    def __init__(
        self,
        broker: Broker,
        records: RecordStore | None,
        *,
        max_deliveries: int,
        ttl: float | None,
        ended: Callable[[Delivery, Settlement], None],
        failed: Callable[[Delivery, BaseException], None] | None = None,
        wills: LastWills | None = None,
    ) -> None:
        self.broker = broker
        self.records = records
        self.max_deliveries = max_deliveries
        self.ttl = ttl
        self.ended = ended
        self.failed = failed
        self.wills = wills
        #: Of those that are about to be settled, by their loans.
        self._errors: dict[str, BaseException] = {}
        #: What was settled, and with what error, and nobody was told of yet.
        self._untold: deque[tuple[Delivery, Settlement, BaseException | None]] = deque()

    def rescue(self, death: Death) -> int:
        """``settle``, and tell of it."""
        count = self.settle(death)
        self.tell()
        return count

    def tell(self) -> None:
        """Call ``ended`` and ``failed`` for what was settled since the last time. They may take
        their time, and must not be waited for while others wait for whoever settles."""
        while self._untold:
            delivery, settlement, error = self._untold.popleft()
            self.ended(delivery, settlement)
            if error is not None and self.failed is not None:
                self.failed(delivery, error)

    def settle(self, death: Death) -> int:
        """Settle everything the dead consumer still holds; how many messages that were."""
        consumer = self.broker.adopt(death.consumer_id, self.records)
        deliveries = consumer.lent()
        # What is released goes to the front of its queue: the last part first keeps the order.
        for start in reversed(range(0, len(deliveries), _CHUNK)):
            chunk = [
                self.decide(delivery, death) for delivery in deliveries[start : start + _CHUNK]
            ]
            exchange = consumer.exchange(chunk, 0)
            refused = {settlement.delivery.loan for settlement in exchange.refused}
            for settlement in chunk:
                error = self._errors.pop(settlement.delivery.loan, None)
                if settlement.delivery.loan not in refused:
                    self._untold.append((settlement.delivery, settlement, error))
        consumer.close()
        if death.acknowledged and self.records is not None and death.cause is not Cause.SILENT:
            self.records.store_many(
                [self._of_acknowledged(task_id, death) for task_id in death.acknowledged]
            )
        return len(deliveries)

    def _of_acknowledged(self, task_id: str, death: Death) -> ResultRecord:
        """At most once: it does not run again, but whoever waits for it is told."""
        error: Exception = WorkerLostError(f"the worker process died ({death.detail})")
        if death.cause is Cause.TIME_LIMIT:
            error = TimeLimitExceeded(death.limit)
        elif death.cause is Cause.TERMINATED:
            return revoked_record(task_id, self.ttl, TERMINATED)
        return failure_record(task_id, error, self.ttl)

    def decide(self, delivery: Delivery, death: Death) -> Settlement:
        """How this loan of the dead consumer ends."""
        message = delivery.message
        if message is None:
            return Settlement(delivery=delivery, verdict=Verdict.RELEASE)
        if death.cause is Cause.TIME_LIMIT and delivery.loan == death.overdue:
            return self._overdue(delivery, message, TimeLimitExceeded(death.limit))
        if death.cause is Cause.TERMINATED and delivery.loan == death.overdue:
            return self._terminated(delivery)
        if death.cause is Cause.CRASHED and delivery.loan in death.begun:
            return self._crashed(delivery, message, death)
        if death.cause is Cause.SILENT:
            return self._lost(delivery, message.deliveries + 1, death)
        return Settlement(delivery=delivery, verdict=Verdict.RELEASE)

    def _crashed(self, delivery: Delivery, message: Message, death: Death) -> Settlement:
        if self.wills is not None:
            lost = WorkerLostError(f"the worker process died ({death.detail})")
            following = self.wills.retry(message)
            if following is not None:
                return self._retried(delivery, message, lost, following)
            if self.wills.gives_up(message):
                return self._failed(delivery, lost)
        return self._lost(delivery, message.deliveries + 1, death)

    def _retried(
        self, delivery: Delivery, message: Message, error: BaseException, following: Message
    ) -> Settlement:
        record = None
        if self.records is not None and not message.headers.get("ignore_result"):
            record = failure_record(message.id, error, self.ttl, name=message.task)
            record = replace(record, status=states.RETRY, date_done=None)
        publish = (following,)
        return Settlement(delivery=delivery, verdict=Verdict.ACK, record=record, publish=publish)

    def _overdue(self, delivery: Delivery, message: Message, error: Exception) -> Settlement:
        again = message.deliveries + 1 < self.max_deliveries
        if again and self.wills is not None and self.wills.returns(message, error):
            return Settlement(delivery=delivery, verdict=Verdict.RELEASE, counted=True)
        return self._failed(delivery, error)

    def _lost(self, delivery: Delivery, count: int, death: Death) -> Settlement:
        if count < self.max_deliveries:
            return Settlement(delivery=delivery, verdict=Verdict.RELEASE, counted=True)
        detail = death.detail or "it was not heard of any more"
        return self._failed(
            delivery, WorkerLostError(f"the worker process died {count} times ({detail})")
        )

    def _terminated(self, delivery: Delivery) -> Settlement:
        """Over and done with, but not among the dead letters: somebody wanted it so."""
        message = delivery.message
        record = None
        if message is not None and self.records and not message.headers.get("ignore_result"):
            record = revoked_record(message.id, self.ttl, TERMINATED)
        return Settlement(delivery=delivery, verdict=Verdict.ACK, reason=TERMINATED, record=record)

    def _failed(self, delivery: Delivery, error: BaseException) -> Settlement:
        self._errors[delivery.loan] = error
        return Settlement(
            delivery=delivery,
            verdict=Verdict.REJECT,
            reason=f"{type(error).__name__}: {error}",
            record=self._record(delivery, error),
            publish=self._following(delivery, error),
        )

    def _following(self, delivery: Delivery, error: BaseException) -> tuple[Message, ...]:
        if delivery.message is None or self.wills is None:
            return ()
        return self.wills.following(delivery.message, error)

    def _record(self, delivery: Delivery, error: BaseException) -> ResultRecord | None:
        message = delivery.message
        if message is None or self.records is None or message.headers.get("ignore_result"):
            return None
        return failure_record(message.id, error, self.ttl, name=message.task, queue=delivery.queue)


def failure_record(
    task_id: str,
    error: BaseException,
    ttl: float | None,
    *,
    name: str | None = None,
    queue: str | None = None,
) -> ResultRecord:
    """The record of a job that failed without having run to its end."""
    return ResultRecord(
        task_id=task_id,
        status=states.FAILURE,
        result=describe(error),
        traceback=f"{type(error).__name__}: {error}",
        date_done=datetime.now(UTC).isoformat(),
        name=name,
        queue=queue,
        ttl=ttl,
    )
