"""Where a message waits between the client that sends it and the worker that runs it.

A broker promises four things. A published message is kept until somebody settles it. A message is
lent to one consumer at a time. A loan ends when its consumer settles it or is dead, never because
time passed while the consumer lives. Whoever settles a loan that has ended is refused.

States of a message, and the verbs that change them:

    publish -> delayed --due--> ready --exchange--> lent --ack------> gone
                                  ^                  |---release---> ready (or delayed)
                                  |                  |---reject----> dead ---revive--> ready
                                  '----- unpark -----'---park------> parked

Routing, retries and the meaning of results live elsewhere. Operations for people (sizes, purge,
dead letters) are in ``brokers/admin.py``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from umbel.message.message import Message
from umbel.message.record import ResultRecord

if TYPE_CHECKING:
    from umbel.brokers.admin import QueueAdmin
    from umbel.brokers.bus import Bus

__all__ = [
    "REVOKED_MOST",
    "Binding",
    "Broker",
    "Consumer",
    "Delivery",
    "Exchange",
    "RecordStore",
    "Settlement",
    "Verdict",
]


#: Revoked tasks that a broker remembers.
REVOKED_MOST = 50_000


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One loan of one message to one consumer."""

    #: Names the loan; unique for ever within the broker, also across consumers and restarts.
    loan: str
    #: The queue it was taken from (and goes back to).
    queue: str
    #: The bytes as they lay on the queue.
    raw: bytes
    #: The decoded message; None when the bytes are not a message.
    message: Message | None
    #: Why ``message`` is None.
    problem: str = ""
    #: True when the message had been parked and was lent because the consumer knows its task.
    parked_before: bool = False


class Verdict(Enum):
    """How a loan ends."""

    #: Done: forget the message.
    ACK = "ack"
    #: Put the message back at the front of its queue, or among the delayed ones. Messages that are
    #: released in one step keep their order.
    RELEASE = "release"
    #: Keep the message among the dead letters, with ``reason``.
    REJECT = "reject"
    #: Keep the message aside until a consumer that knows its task asks for it.
    PARK = "park"


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """The end of one loan, with everything that must happen in the same step."""

    delivery: Delivery
    verdict: Verdict
    #: For REJECT: one line that says why, shown by ``umbel dead list``.
    reason: str = ""
    #: For RELEASE: seconds until it may be lent again.
    delay: float = 0.0
    #: For RELEASE: raise the delivery counter and mark the message as redelivered.
    counted: bool = False
    #: Stored in the same atomic step where the broker shares a server with the result backend,
    #: else before the loan ends.
    record: ResultRecord | None = None
    #: Messages sent in the same step (a retry, the next step of a workflow).
    publish: tuple[Message, ...] = ()


class Exchange(msgspec.Struct, frozen=True):
    """What one round trip brought."""

    #: Newly lent, in the order in which they are to run.
    deliveries: list[Delivery]
    #: Settlements that were refused because the loan had already been taken back.
    refused: list[Settlement]
    #: There are parked messages in this broker: ``unpark`` may find some for this consumer.
    parked: bool = False
    #: Changes whenever somebody revokes tasks; 0: nobody ever did. Then ``Broker.revoked`` tells more.
    revocations: int = 0


class RecordStore(Protocol):
    """The part of a result backend that a consumer needs."""

    def store_many(self, records: Sequence[ResultRecord]) -> None:
        """Keep these records and wake whoever waits for them."""


class Consumer(ABC):
    """Lends messages to one process. Used by one thread at a time, whichever that is: where several
    have to do with it, a lock of the caller's sees to that.

    Network errors surface as ``ConnectionLost``; the consumer may be used again afterwards and
    first finds out what became of the interrupted operation: settlements are repeated safely, and
    loans whose delivery got lost on the way are delivered again. Nothing is lost by a broken
    connection, and nothing is settled twice.
    """

    #: The id under which this consumer's loans are kept; changes when ``exchange`` had to
    #: register anew because the old id had been declared dead.
    id: str

    @abstractmethod
    def exchange(self, settlements: Sequence[Settlement], limit: int) -> Exchange:
        """Settle these loans and take up to ``limit`` new ones, in one round trip. Never blocks
        for messages. Each settlement is atomic with its record and its messages where the stores
        allow it. Due delayed messages of the consumer's queues become ready first. Order: higher
        priority first, then first in first out; queues of equal priority take turns.
        """

    @abstractmethod
    def wait(self, timeout: float, fds: Collection[int] = ()) -> None:
        """Block until a message may be there, one of ``fds`` is readable, a delayed message comes
        due, or ``timeout`` seconds passed. May return early; call ``exchange`` to know. Raises
        ``ConnectionLost`` when the server goes away meanwhile.
        """

    @abstractmethod
    def unpark(self, tasks: Collection[str], limit: int) -> list[Delivery]:
        """Lend up to ``limit`` parked messages of this consumer's queues whose task name is one of
        ``tasks``."""

    @abstractmethod
    def lent(self) -> list[Delivery]:
        """Every loan that the server holds for this consumer now, decoded. One round trip."""

    @abstractmethod
    def close(self) -> None:
        """Release every loan still held (not counted) and sign off. Closing twice is harmless."""


class Binding(msgspec.Struct, frozen=True):
    """Messages to ``exchange`` go to ``queue`` as well, where the routing keys agree."""

    exchange: str
    #: ``direct``, ``topic`` or ``fanout``.
    kind: str
    routing_key: str
    queue: str


class Broker(ABC):
    """Keeps messages. Safe to share between threads; after a fork the child opens its own
    connections by itself. Connects on first use, not when constructed."""

    #: URL without password, for banners and logs.
    display_url: str
    #: Operations for people.
    admin: QueueAdmin
    #: Whether other processes, forked ones too, see the same messages.
    crosses_processes: bool = True

    @property
    @abstractmethod
    def bus(self) -> Bus:
        """Control commands, their replies, and events; made when it is first asked for."""

    @abstractmethod
    def publish(self, messages: Sequence[Message], timeout: float | None = None) -> None:
        """Keep these messages. On return they survive the death of this process; those with
        ``due`` in the future stay invisible until then. One round trip for any number of them
        (in bounded chunks). Raises ``OperationalError`` when that did not happen within
        ``timeout`` seconds (None: the broker's own limit); then some may have been kept.
        """

    async def publish_async(
        self, messages: Sequence[Message], timeout: float | None = None
    ) -> None:
        """``publish`` for a caller inside an event loop, which goes on meanwhile. Who is cancelled
        does not know whether the messages were kept. Brokers whose driver has no asynchronous client
        do it in one of a few threads."""
        from umbel.offload import offload

        await offload(self.publish, messages, timeout)

    def publish_all(
        self, batches: Iterable[Sequence[Message]], timeout: float | None = None
    ) -> None:
        """``publish`` each batch, with ``timeout`` for each. A broker may send one while the next
        is being made, so what making one raises comes after those before it were kept."""
        for messages in batches:
            self.publish(messages, timeout)

    def declare(self, bindings: Sequence[Binding]) -> None:  # noqa: B027 - most kinds have nobody to tell
        """Say which queues exchanges lead to, where other programs ask the server. Umbel's own
        senders do not ask: they go by their settings. Repeating it is harmless."""

    @abstractmethod
    def consume(
        self, queues: Sequence[str], consumer_id: str, records: RecordStore | None = None
    ) -> Consumer:
        """Register a living consumer and lend messages of these queues to it; of none, where there
        are no queues. Results that come with settlements go to ``records``.
        """

    @abstractmethod
    def beat(self, consumer_ids: Iterable[str]) -> list[str]:
        """Say that these consumers live; moments are taken from the server's clock. Returns the
        ids that the broker does not know or has declared dead (beating does not revive them)."""

    @abstractmethod
    def silent(self, limit: float) -> dict[str, Any]:
        """Consumers that have not been heard of for ``limit`` seconds, and those whose loans were
        being taken back when the rescuer died: id -> a value that changes when they beat again."""

    @abstractmethod
    def adopt(self, consumer_id: str, records: RecordStore | None = None) -> Consumer:
        """Declare this consumer dead and return one through which its loans can be settled by
        somebody else (``lent``, ``exchange`` with limit 0, ``close``). From then on everything the
        dead consumer settles itself is refused, unless nobody settled that loan yet: each loan
        ends exactly once, whoever comes first. Closing signs the dead consumer off. Results that
        come with settlements go to ``records``.
        """

    @abstractmethod
    def joins(self, records: RecordStore) -> bool:
        """Whether results for this store can be written in the same atomic step as a settlement."""

    @abstractmethod
    def revoke(self, ids: Sequence[str], until: float) -> None:
        """Remember until this moment that the tasks of these ids are not to start any more. Of an
        id that is revoked again, the last moment counts. At most ``REVOKED_MOST`` are remembered;
        those that would be forgotten first go first. Survives what messages survive. It touches no
        message: workers ask."""

    @abstractmethod
    def revoked(self) -> dict[str, float]:
        """The ids that are revoked now, and until when."""

    @abstractmethod
    def attended(self) -> bool:
        """Whether any consumer ever registered here."""

    @abstractmethod
    def close(self) -> None:
        """Close connections. The broker may be used again afterwards; it reconnects."""
