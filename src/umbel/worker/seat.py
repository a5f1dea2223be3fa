"""The consumer that a process is with the broker: registered, signed on the board, changed with its
queues, given up at the end.

Loans belong to a consumer, and a consumer to its queues: other queues mean another consumer, once
nothing is held of this one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence

from umbel.brokers.base import Broker, Consumer, RecordStore
from umbel.exceptions import OperationalError
from umbel.waker import Waker
from umbel.worker.line import Line
from umbel.worker.outage import Outage
from umbel.worker.sleep import Sleep

__all__ = ["Seat"]

logger = logging.getLogger("umbel.worker")

#: Seconds between looks at what the supervisor says, while there is nothing to do.
_LOOK_EVERY = 1.0


class Seat:
    """``take_from`` may be called from any thread; the rest belongs to the loop's."""

    #: There is one from the first ``open`` that succeeds.
    consumer: Consumer

    def __init__(
        self,
        broker: Broker,
        records: RecordStore | None,
        queues: Sequence[str],
        consumer_id: str,
        line: Line,
    ) -> None:
        self.broker = broker
        self.records = records
        self.queues = queues
        #: The id as it was last signed.
        self.consumer_id = consumer_id
        self.line = line
        #: Ends the sleep.
        self.waker = Waker()
        self.sleep = Sleep(line, self.waker)
        self.outage = Outage(broker.display_url, getattr(records, "display_url", ""), line)
        self._others: Sequence[str] | None = None
        self._registered = False

    def take_from(self, queues: Sequence[str]) -> None:
        """Be a consumer of exactly these queues as soon as nothing is held any more."""
        self._others = tuple(queues)

    @property
    def changing(self) -> bool:
        """Other queues are to be taken from: take nothing more of the present ones."""
        return self._others is not None

    def open(self, goes_on: Callable[[], bool]) -> bool:
        """Register, however long that takes; False: ``goes_on``, which is asked meanwhile, said no."""
        while not self.queues:  # the node was told to leave all of them
            if not goes_on():
                return False
            self.queues, self._others = self._others or (), None
            if not self.queues:
                self.line.announce(ready=True)
                self.sleep.until_told(_LOOK_EVERY)
        while goes_on():
            try:
                self.consumer = self.broker.consume(self.queues, self.consumer_id, self.records)
            except OperationalError as error:
                self.outage.lost(error)
            else:
                self._registered = True
                self.line.sign(self.consumer.id)
                self.outage.back()
                self.line.announce(ready=True)
                return True
        return False

    def change(self, goes_on: Callable[[], bool]) -> bool:
        """Nothing is held: be the other consumer. False as for ``open``."""
        self.queues, self._others = self._others or (), None
        if not self.queues:
            return True  # this consumer just takes no more
        self.close()
        return self.open(goes_on)

    def watch(self, timeout: float, fds: Collection[int]) -> None:
        """As ``Consumer.wait``; an outage is dealt with."""
        try:
            self.consumer.wait(timeout, fds)
        except OperationalError as error:
            self.outage.lost(error)

    def renewed(self) -> bool:
        """Whether the broker had declared this consumer dead, so that it has registered anew."""
        if self.consumer.id == self.consumer_id:
            return False
        self.consumer_id = self.consumer.id
        self.line.sign(self.consumer_id)
        return True

    def close(self) -> None:
        """Sign off; what was not settled goes back to its queue."""
        self.line.announce(ready=False)
        registered, self._registered = self._registered, False
        try:
            if registered:
                self.consumer.close()
        except OperationalError as error:
            # The supervisor, or after a while any worker, gives the loans back instead.
            logger.warning("Could not sign off from %s: %s", self.broker.display_url, error)
