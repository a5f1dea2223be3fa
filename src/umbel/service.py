"""A duty that runs beside the main work of a process: one thread, one start, one stop.

Every background duty (heartbeats, rescue, health answers) is a ``Service`` in a file of its own.
Stopping twice, or before start, is harmless.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading

__all__ = ["Service"]

logger = logging.getLogger("umbel.service")


class Service:
    """Something with a life of its own. ``start`` once, ``stop`` from any thread, ``join`` to wait."""

    name = "service"

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._pid = 0

    def start(self) -> None:
        """Begin; returns at once. Starting twice is an error of the caller."""
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._main, name=f"umbel-{self.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; returns at once."""
        self._stopping.set()

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended, at most ``timeout`` seconds."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    def _main(self) -> None:
        try:
            self.run()
        except Exception:
            if self._pid == os.getpid():
                logger.exception("The %s service ended by an error", self.name)
        finally:
            # The copy in a forked child, where threads are greenlets, has nothing to do; nor may it
            # end, which would be reported as the end of a thread that nobody knows there.
            while self._pid != os.getpid():
                with contextlib.suppress(BaseException):
                    threading.Event().wait()

    def run(self) -> None:
        """The duty itself; returns when ``self.stopping`` becomes true."""
        raise NotImplementedError
