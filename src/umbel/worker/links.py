"""The messages that follow a job, ready to be sent with its settlement.

Used by whoever settles: the process that ran the job, or, when that is gone, the supervisor. What
follows, and in what form, is decided in ``app/linking.py``.
"""

from __future__ import annotations

import logging
from typing import Any

from msgspec.structs import replace

from umbel.app.outbox import Outbox, collecting
from umbel.canvas.signature import Signature
from umbel.exceptions import EncodeError
from umbel.message.message import Message
from umbel.message.protocol import encode

__all__ = ["Following"]

logger = logging.getLogger("umbel.worker")


class Following:
    """What follows the job of ``message``."""

    def __init__(self, message: Message) -> None:
        self._message = message
        self._outbox = Outbox()

    def send(self, signature: Signature, args: tuple[Any, ...], **options: Any) -> None:
        """Make this call, as far as its message."""
        with collecting(self._outbox):
            signature.apply_async(args, **options)

    def messages(self) -> tuple[Message, ...]:
        """Each as it will lie on its queue. One that cannot be written is reported, and does not keep
        the others or the result."""
        written = []
        for message in self._outbox.take():
            try:
                written.append(replace(message, written=encode(message)))
            except EncodeError:
                logger.exception(
                    "%s, which follows task %s, could not be sent", message.task, self._message.id
                )
        return tuple(written)
