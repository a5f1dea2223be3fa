"""How an idle process waits for messages: one of a worker's processes watches for all of them.

The others sleep, and cost the broker nothing, until the one that watches has been at work for a
moment; then the bell wakes one of them, which watches in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from umbel.waker import Waker, readable
from umbel.worker.bell import Bell
from umbel.worker.line import Line

__all__ = ["Sleep"]

#: Seconds of work after which another process watches.
AWAY = 0.001


class Sleep:
    """Belongs to the thread of the loop; ``waker`` and the supervisor end it early."""

    def __init__(self, line: Line, waker: Waker) -> None:
        self.line = line
        self.waker = waker

    def until(self, timeout: float, watch: Callable[[float, tuple[int, ...]], None]) -> None:
        """Return when there may be a message, when woken, or after so many seconds. ``watch`` waits
        at the broker, or until one of these file descriptors is readable."""
        place, bell, fds = self.line.place, self.line.bell, (self.waker.fd, self.line.fd)
        if bell is None:
            watch(timeout, fds)
        elif place.rest():
            bell.silence()
            watch(timeout, fds)
            if place.rise():
                bell.ring_in(AWAY)
        else:
            self._sleep(bell, timeout, fds)
            if place.rise():
                bell.ring_in(AWAY)

    def until_told(self, timeout: float) -> None:
        """As ``until``, whatever comes from the broker."""
        readable((self.waker.fd, self.line.fd), timeout)
        self.waker.clear()

    def _sleep(self, bell: Bell, timeout: float, fds: tuple[int, ...]) -> None:
        end = monotonic() + timeout
        woken = readable((*fds, bell.fd), timeout)
        while woken == [bell.fd] and not bell.answer():  # another one goes
            woken = readable((*fds, bell.fd), end - monotonic())
