"""Looks after the loop of a process while one job keeps the loop's thread busy.

Jobs of a ``prefork`` process run in the thread of its loop, so that a message passes no other
thread on its way. The guardian is the other thread: it sleeps while jobs are short, and steps in
when one takes its time. Then what ended before it is settled, what waits behind it is given back,
and what the supervisor says is heard.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Protocol

from umbel.waker import Waker, readable
from umbel.worker.line import Line

__all__ = ["Guardian", "Ward"]

#: Seconds that a job may keep the loop busy before the guardian steps in, when something waits.
PATIENCE = 0.02
SHORTEST = 0.001
#: Seconds between looks when nothing waits.
LOOK_EVERY = 1.0


class Ward(Protocol):
    """What a guardian knows of a loop."""

    line: Line

    def busy(self) -> float:
        """Seconds for which jobs have kept the loop's thread; 0: it is not running any."""
        ...

    def tend(self) -> bool:
        """Do what cannot wait until the running job ends; True: something may wait again soon."""
        ...


class Guardian(threading.Thread):
    """``watch`` is called by the loop's thread; everything else happens in its own."""

    def __init__(self, ward: Ward) -> None:
        super().__init__(name="umbel-guardian", daemon=True)
        self._ward = ward
        self._waker = Waker()
        self._attentive = False
        self._stopped = False

    def watch(self) -> None:
        """Several jobs are about to run: some would wait for the others."""
        if not self._attentive:
            self._attentive = True
            self._waker.set()

    def stop(self) -> None:
        """End the thread, and wait for it."""
        self._stopped = True
        self._waker.set()
        self.join()
        self._waker.close()

    def run(self) -> None:
        try:
            while not self._stopped:
                self._look()
        except BaseException:  # noqa: BLE001 - the end of the process, whatever it was
            # Without its guardian a process may keep what it cannot run: let there be another.
            sys.excepthook(*sys.exc_info())
            os._exit(70)

    def _look(self) -> None:
        line, busy = self._ward.line.fd, self._ward.busy()
        timeout = max(PATIENCE - busy, SHORTEST) if self._attentive else LOOK_EVERY
        told = readable((self._waker.fd, line), timeout)
        if self._waker.fd in told:
            self._waker.clear()
            return
        # Before looking: who calls ``watch`` meanwhile sets it again.
        self._attentive = False
        busy = self._ward.busy()
        if line in told and not busy:  # between jobs the loop listens to the supervisor itself
            readable((self._waker.fd,), SHORTEST)
            return
        if self._ward.tend() if line in told or busy >= PATIENCE else busy:
            self._attentive = True
