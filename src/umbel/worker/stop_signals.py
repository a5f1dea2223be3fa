"""What a supervisor is told by signals: to stop, how urgently, and to show its threads.

Signals only count and wake; what follows from them is the supervisor's to decide, in its own turn.
"""

from __future__ import annotations

import signal
from types import FrameType

from umbel.waker import Waker
from umbel.worker.shutdown import term_is_quit
from umbel.worker.stacks import stacks

__all__ = ["StopSignals"]


class StopSignals:
    """``listen`` belongs to the main thread; ``stop`` to any."""

    def __init__(self, waker: Waker) -> None:
        self._waker = waker
        self._term = 0
        self._quit = 0
        #: Stacks of all threads that somebody asked for; whoever shows them empties it.
        self.stacks = ""

    @property
    def stopping(self) -> bool:
        """Whether the worker was told to stop."""
        return self._term > 0 or self._quit > 0

    @property
    def urgent(self) -> int:
        """How often it was told to stop at once."""
        return self._quit + max(0, self._term - 1)

    def stop(self) -> None:
        """Say what TERM says: finish what runs, settle and leave."""
        self._term += 1
        self._waker.set()

    def listen(self) -> None:
        """From here on, hear signals."""

        def wake(_signum: int, _frame: FrameType | None) -> None:
            self._waker.set()

        def term(_signum: int, _frame: FrameType | None) -> None:
            self.stop()

        def leave(_signum: int, _frame: FrameType | None) -> None:
            self._quit += 1
            self._waker.set()

        def show(_signum: int, _frame: FrameType | None) -> None:
            self.stacks = stacks()  # here, for the main thread will have gone on when it is shown
            self._waker.set()

        signal.signal(signal.SIGCHLD, wake)
        signal.signal(signal.SIGUSR1, show)
        signal.signal(signal.SIGTERM, leave if term_is_quit() else term)
        signal.signal(signal.SIGINT, term)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
            signal.signal(signal.SIGHUP, term)
        signal.signal(signal.SIGQUIT, leave)
