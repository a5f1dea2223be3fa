"""Interrupts the main thread of this process at a given moment: how soft time limits arrive.

A thread waits for the nearest moment and sends SIGUSR1 to the main thread; the signal's handler
raises there, between two bytecodes, also while the task sleeps or waits for I/O.
"""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType

__all__ = ["Alarm"]


class Alarm:
    """One pending interruption at a time. ``install``, ``arm`` and ``disarm`` belong to the main
    thread."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._moment: float | None = None
        self._error: BaseException | None = None
        self._due = 0.0
        self._thread: threading.Thread | None = None

    def install(self) -> None:
        """Take SIGUSR1 over."""
        signal.signal(signal.SIGUSR1, self._on_signal)

    def arm(self, seconds: float, error: BaseException) -> None:
        """Raise ``error`` in the main thread after ``seconds``, unless disarmed before."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._watch, name="umbel-alarm", daemon=True)
            self._thread.start()
        with self._change:
            self._due = self._moment = time.monotonic() + seconds
            self._error = error
            self._change.notify()

    def disarm(self) -> None:
        """From here on nothing is raised any more."""
        self._error = None
        self._moment = None

    def _watch(self) -> None:
        main = threading.main_thread().ident
        assert main is not None
        while True:
            with self._change:
                moment = self._moment
                left = None if moment is None else moment - time.monotonic()
                if left is None or left > 0:
                    self._change.wait(left)
                    continue
                self._moment = None
            signal.pthread_kill(main, signal.SIGUSR1)

    def _on_signal(self, _signum: int, _frame: FrameType | None) -> None:
        # A signal that was sent for the job before this one arrives early, and is ignored.
        if self._error is not None and time.monotonic() >= self._due:
            error, self._error = self._error, None
            raise error
