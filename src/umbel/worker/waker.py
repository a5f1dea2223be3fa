"""Wakes a thread that sleeps in ``select``: a file descriptor that becomes readable on demand."""

from __future__ import annotations

import os
import select
from collections.abc import Collection

__all__ = ["Waker", "readable"]


class Waker:
    """``set`` from any thread or signal handler; ``clear`` by the sleeper."""

    def __init__(self) -> None:
        self.fd, self._write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

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
            while os.read(self.fd, 4096):
                pass
        except BlockingIOError:
            return

    def close(self) -> None:
        """Give the descriptors back."""
        os.close(self.fd)
        os.close(self._write_fd)


def readable(fds: Collection[int], timeout: float) -> list[int]:
    """Those of ``fds`` that become readable within ``timeout`` seconds; hung-up ones count."""
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return [fd for fd, _event in poll.poll(max(0.0, timeout) * 1000)]
