"""Wakes a thread that sleeps in ``poll``: a file descriptor that becomes readable on demand.

What waits in this package waits on descriptors, so that it can wait for several things at once.
A pipe, because a signal handler may write to it at any moment, also while a lock is held.
"""

from __future__ import annotations

import os
import select
from collections.abc import Collection

__all__ = ["Waker", "readable"]


class Waker:
    """``set`` from any thread or signal handler; ``clear`` by the sleeper."""

    def __init__(self) -> None:
        self.fd, self._write_fd = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write_fd, False)

    def set(self) -> None:
        """Make the descriptor readable."""
        try:
            os.write(self._write_fd, b"\0")
        except BlockingIOError:
            pass  # the pipe is full of wake-ups already
        except OSError:
            pass  # closed: nobody sleeps there any more

    def clear(self) -> None:
        """Forget every wake-up so far."""
        try:
            while os.read(self.fd, 65536):
                pass
        except BlockingIOError:
            return

    def close(self) -> None:
        """Give the descriptors back. Their numbers are forgotten first: soon they are those of
        other files, to which a late ``set`` must not write."""
        fds = (self.fd, self._write_fd)
        self.fd = self._write_fd = -1
        for fd in fds:
            if fd >= 0:
                os.close(fd)

    def __del__(self) -> None:
        # When the interpreter ends, modules may be gone before what they made.
        if hasattr(self, "_write_fd") and os is not None:
            self.close()


def readable(fds: Collection[int], timeout: float) -> list[int]:
    """Those of ``fds`` that become readable within ``timeout`` seconds; hung-up ones count."""
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return [fd for fd, _event in poll.poll(max(0.0, timeout) * 1000)]
