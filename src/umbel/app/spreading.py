"""Messages to several queues: one of each for every queue that their exchange leads to.

Used by ``Publisher`` for what does not go to one queue alone. A broadcast goes to the nodes that
read it at this moment, which the broker knows; nobody reads it: then nothing is sent.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from umbel.brokers.private import private_queues

if TYPE_CHECKING:
    from umbel.app.routing import Router
    from umbel.brokers.base import Broker
    from umbel.message.message import Message

__all__ = ["Spreader"]

logger = logging.getLogger("umbel.app.publisher")


class Spreader:
    """``limit``: seconds of silence after which a node is taken for dead."""

    def __init__(self, router: Router, broker: Broker, limit: float) -> None:
        self._router = router
        self._broker = broker
        self._limit = limit
        self._declared = False

    def spread(self, messages: Sequence[Message], targets: Sequence[str]) -> list[Message]:
        """Each of these messages, which are alike, for each of the queues."""
        if not self._declared:
            self._broker.declare(self._router.bindings())
            self._declared = True
        names: list[str] = []
        for target in targets:
            if target in self._router.broadcasts:
                names += private_queues(self._broker, target, self._limit)
            else:
                names.append(target)
        if not names:
            logger.warning("%s: no worker reads it now, so nobody gets it", ", ".join(targets))
        return [replace(message, queue=name) for message in messages for name in names]
