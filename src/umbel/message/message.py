"""What travels: one call of one task, as Celery's task message protocol 2 describes it.

A ``Message`` is made once, by the publisher or by ``protocol.decode``, and never changed; a retry
or a redelivery makes a new one. The headers can be read without decoding the body, so a worker
decides about a message (unknown, expired, revoked) before it touches the arguments.
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["DELIVERIES", "Message"]

#: Header that counts how often a message came back because its worker died. The name is the one
#: that RabbitMQ's quorum queues use; Celery ignores headers it does not know.
DELIVERIES = "x-delivery-count"


class Message(msgspec.Struct, frozen=True, kw_only=True, eq=True, weakref=False, gc=False):
    """One call on its way. Moments are seconds since the epoch, durations are seconds."""

    #: Protocol-2 headers, in wire order, the user's own headers among them.
    headers: dict[str, Any]
    #: ``[args, kwargs, embed]``, encoded as ``content_type`` says, uncompressed or as the
    #: ``compression`` header says.
    body: bytes
    content_type: str = "application/json"
    content_encoding: str = "utf-8"
    #: The queue it waits in. On the wire: the routing key of exchange ``''``, unless ``exchange`` is set.
    queue: str = "celery"
    exchange: str = ""
    #: The AMQP routing key, where it differs from the queue.
    routing_key: str | None = None
    #: 0 to 9, higher first.
    priority: int = 0
    #: Not before this moment (from the ``eta`` header); None: at once.
    due: float | None = None
    reply_to: str | None = None
    correlation_id: str | None = None
    #: 2 = persistent, 1 = transient.
    delivery_mode: int = 2
    delivery_tag: str = ""
    #: Properties that are none of the above (unknown call options travel here, as with Celery).
    properties: dict[str, Any] = {}
    #: The envelope, where it has been written already (in bulk); ``protocol.encode`` returns it.
    written: bytes | None = None

    @property
    def id(self) -> str:
        """The task id."""
        value: str = self.headers["id"]
        return value

    @property
    def task(self) -> str:
        """The task name."""
        value: str = self.headers["task"]
        return value

    @property
    def retries(self) -> int:
        """How many retries came before this run."""
        return self.headers.get("retries") or 0

    @property
    def deliveries(self) -> int:
        """How many times a worker died with it."""
        return self.headers.get(DELIVERIES) or 0
