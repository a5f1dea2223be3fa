"""The steps that the suites are told in: receive, settle, wait until something is true.

Every wait has a generous upper bound and ends as soon as what it waits for is there.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn, TypeVar

from umbel.brokers.base import Consumer, Delivery, Exchange, Settlement, Verdict
from umbel.message.message import Message
from umbel.message.record import ResultRecord

__all__ = [
    "PATIENCE",
    "QUEUE",
    "ForeignStore",
    "ack",
    "eventually",
    "fork",
    "ids",
    "leave_after",
    "message_of",
    "messages_of",
    "pause_until",
    "receive",
    "reject",
    "release",
    "settle",
    "together",
]

#: The queue of the tests that need only one.
QUEUE = "celery"
#: Seconds after which something that should have happened counts as not happening.
PATIENCE = 15.0

T = TypeVar("T")


def receive(consumer: Consumer, count: int = 1, limit: int | None = None) -> list[Delivery]:
    """Take ``count`` deliveries, up to ``limit`` with each exchange, waiting as long as it needs."""
    deliveries: list[Delivery] = []
    deadline = time.monotonic() + PATIENCE
    while len(deliveries) < count:
        missing = count - len(deliveries)
        arrived = consumer.exchange([], min(limit or missing, missing)).deliveries
        deliveries += arrived
        assert time.monotonic() < deadline, f"received {len(deliveries)} of {count} messages"
        if not arrived:
            consumer.wait(0.25)
    return deliveries


def settle(consumer: Consumer, verdict: Verdict, *deliveries: Delivery, **fields: Any) -> Exchange:
    """End these loans with one verdict, and nothing more."""
    settlements = [
        Settlement(delivery=delivery, verdict=verdict, **fields) for delivery in deliveries
    ]
    return consumer.exchange(settlements, 0)


def ack(consumer: Consumer, *deliveries: Delivery, **fields: Any) -> None:
    """Acknowledge, and see that nothing was refused."""
    assert settle(consumer, Verdict.ACK, *deliveries, **fields).refused == []


def release(consumer: Consumer, *deliveries: Delivery, **fields: Any) -> None:
    """Release, and see that nothing was refused."""
    assert settle(consumer, Verdict.RELEASE, *deliveries, **fields).refused == []


def reject(consumer: Consumer, *deliveries: Delivery, reason: str = "unwanted") -> None:
    """Reject, and see that nothing was refused."""
    assert settle(consumer, Verdict.REJECT, *deliveries, reason=reason).refused == []


def message_of(delivery: Delivery) -> Message:
    """The message of a delivery that must have one."""
    assert delivery.message is not None, delivery.problem
    return delivery.message


def messages_of(deliveries: Iterable[Delivery]) -> list[Message]:
    return [message_of(delivery) for delivery in deliveries]


def ids(source: Iterable[Delivery | Message | None]) -> list[str]:
    """The task ids, in order; nothing for what is not a message."""
    found = (item.message if isinstance(item, Delivery) else item for item in source)
    return [item.id for item in found if item is not None]


def eventually(condition: Callable[[], T], within: float = PATIENCE) -> T:
    """Ask until the answer is true, and return it; asks at least twice."""
    deadline = time.monotonic() + within
    while not (answer := condition()):
        if time.monotonic() > deadline:
            answer = condition()
            assert answer, f"not within {within} seconds; the last answer was {answer!r}"
            break
        time.sleep(0.005)
    return answer


def pause_until(moment: float) -> None:
    """Do nothing until the machine's clock shows this moment."""
    while (left := moment - time.time()) > 0:
        time.sleep(left)


def together(*works: Callable[[], object]) -> None:
    """Run these in threads at the same time, and raise the first error of any of them."""
    errors: list[BaseException] = []
    gate = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        try:
            gate.wait(PATIENCE)
            work()
        except BaseException as error:  # noqa: BLE001 - raised again below, in the test's thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(4 * PATIENCE)
    assert not any(thread.is_alive() for thread in threads), "a thread did not come to its end"
    if errors:
        raise errors[0]


def fork() -> int:
    """``os.fork``, without the warning that newer Pythons give beside other threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def leave_after(action: Callable[[], object]) -> NoReturn:
    """What a forked child does: this, and nothing else of the test; 0 when it went well."""
    code = 1
    try:
        action()
        code = 0
    except BaseException:  # noqa: BLE001 - shown here, since this process never comes back
        traceback.print_exc()
    finally:
        os._exit(code)


class ForeignStore:
    """A record store of no kind that a broker could share a server with."""

    def __init__(self) -> None:
        self.records: dict[str, ResultRecord] = {}
        #: Raised by the next ``store_many``, once.
        self.fault: Exception | None = None
        #: Called with each batch before it is kept.
        self.before: Callable[[], object] = bool

    def store_many(self, records: Sequence[ResultRecord]) -> None:
        fault, self.fault = self.fault, None
        if fault is not None:
            raise fault
        self.before()
        self.records.update((record.task_id, record) for record in records)
