"""One child process as its supervisor knows it: where it works, and what is to become of it."""

from __future__ import annotations

import os
import signal

import msgspec

from umbel.worker.board import Place
from umbel.worker.rescue import Cause

__all__ = ["Child", "describe"]


class Child(msgspec.Struct, kw_only=True):
    """One child process and the place it has on the board."""

    pid: int
    place: Place
    started: float
    #: How many predecessors in this place died at once after starting.
    failures: int = 0
    #: It is to be replaced by a new process.
    stale: bool = False
    #: It was told to finish what it runs and leave.
    told: bool = False
    #: That was said on its line; False: it did not listen.
    heard: bool = False
    #: Nobody is to follow it.
    last: bool = False
    #: Why the supervisor killed it, if it did; for TIME_LIMIT the loan that was past its limit.
    cause: Cause = Cause.CRASHED
    overdue: str = ""
    limit: float = 0.0

    @property
    def settled(self) -> bool:
        """It is not about to come or to go: it waits or works, or it was told to go and works on."""
        return bool(self.place.running) if self.told else self.place.ready


def describe(status: int) -> str:
    """How a process ended, in words."""
    if not os.WIFSIGNALED(status):
        return f"exit code {os.WEXITSTATUS(status)}"
    number = os.WTERMSIG(status)
    known = {one.value: one.name for one in signal.Signals}
    return f"signal {number} ({known.get(number, 'real-time')})"
