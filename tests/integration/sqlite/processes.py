"""Real processes beside the test: forked, so that they start at once, and never left behind."""

from __future__ import annotations

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Child", "child"]


class Child:
    """A process that runs a function and ends."""

    def __init__(self, work: Callable[[], object]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads
            self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                work()
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)

    def signal(self, number: int) -> None:
        if self.pid:
            os.kill(self.pid, number)

    def join(self) -> int:
        """Wait for its end; the exit code, below 0 when a signal ended it."""
        if not self.pid:
            return 0
        pid, self.pid = self.pid, 0
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status)

    def kill(self) -> int:
        self.signal(signal.SIGKILL)
        return self.join()


@contextmanager
def child(work: Callable[[], object]) -> Iterator[Child]:
    """A child that does not outlive the block."""
    process = Child(work)
    try:
        yield process
    finally:
        process.kill()
