"""What a process does while a server does not answer: say so once, and try again at its leisure."""

from __future__ import annotations

import logging
import random

from umbel.exceptions import OperationalError
from umbel.waker import readable
from umbel.worker.line import Line

__all__ = ["Outage"]

logger = logging.getLogger("umbel.worker")

RETRY_FIRST, RETRY_LAST = 0.1, 2.0


class Outage:
    """``broker`` and ``results``: the URLs as they stand in messages of errors."""

    def __init__(self, broker: str, results: str, line: Line) -> None:
        self.broker = broker
        self.results = results
        self.line = line
        self._failures = 0

    def lost(self, error: OperationalError) -> None:
        """An attempt failed: pause before the next one, longer each time, unless told something."""
        if self._failures == 0:
            self._say(str(error))
            self.line.announce(ready=False)
        delay = min(RETRY_LAST, RETRY_FIRST * 2 ** min(self._failures, 10))
        self._failures += 1
        # Without the spread, all workers would come back at the same moment.
        readable((self.line.fd,), delay * random.uniform(0.5, 1.0))  # noqa: S311 - no secret

    def back(self) -> None:
        """An attempt succeeded."""
        if self._failures:
            self._failures = 0
            self.line.announce(ready=True)

    def _say(self, reason: str) -> None:
        # That the broker is away is said by the steward, once for all processes.
        elsewhere = self.results and self.results != self.broker and self.results in reason
        level = logging.ERROR if elsewhere else logging.DEBUG
        logger.log(level, "%s. Results wait for it, and tasks for their results…", reason)
