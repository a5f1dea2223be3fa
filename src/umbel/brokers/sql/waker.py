"""Waking a thread that waits, from other threads and from signal handlers."""

from __future__ import annotations

import os
from contextlib import suppress

__all__ = ["Waker"]

_PIPE = 65536


class Waker:
    """A pipe that makes a poll return; usable from threads and signal handlers. Closed when nobody
    can use it any more, since its number would soon be that of another file."""

    def __init__(self) -> None:
        self.fd, self._end = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._end, False)

    def __del__(self) -> None:
        os.close(self.fd)
        os.close(self._end)

    def set(self) -> None:
        with suppress(BlockingIOError):  # full: that is enough
            os.write(self._end, b"!")

    def clear(self) -> None:
        with suppress(BlockingIOError):
            while os.read(self.fd, _PIPE):
                pass
