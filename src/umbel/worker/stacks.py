"""Where every thread of a process stands, for whoever asks with a signal.

SIGUSR1 asks the supervisor, whose answer is in its log. In children SIGUSR1 is the soft time limit
(``alarm.py``), so they answer to SIGUSR2, on standard error and from C: also while a task holds
the interpreter.
"""

from __future__ import annotations

import contextlib
import faulthandler
import signal
import sys
import threading
import traceback

__all__ = ["answer_with_stacks", "stacks"]


def stacks() -> str:
    """The stack of each thread of this process, innermost call last."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    frames = sys._current_frames()  # noqa: SLF001 - there is no other way to other threads
    blocks = [
        f"{names.get(ident, 'unknown')} ({ident}):\n{''.join(traceback.format_stack(frame))}"
        for ident, frame in frames.items()
    ]
    return "\n".join(blocks).rstrip()


def answer_with_stacks() -> None:
    """From here on SIGUSR2 writes the stacks of this process to standard error, and so it does in
    the processes that it forks. An application that uses the signal itself keeps it."""
    if signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL:
        with contextlib.suppress(OSError, ValueError, RuntimeError, AttributeError):  # no stderr
            faulthandler.register(signal.SIGUSR2, all_threads=True)
