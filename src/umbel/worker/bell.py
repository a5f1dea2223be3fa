"""Wakes the sleeping processes of a worker when the one that watches for messages has got work.

A timer of the kernel, shared by all of them: the process that watches sets it before it starts on
a job and stops it afterwards. So short jobs wake nobody, and the others need not watch. Where there
is no such timer, the bell rings at once.
"""

from __future__ import annotations

import ctypes
import os
import sys

from umbel.waker import Waker

__all__ = ["Bell"]

_CLOCK_MONOTONIC = 1
_LIBC = ctypes.CDLL(None) if sys.platform.startswith("linux") else None


class _Moment(ctypes.Structure):
    """``struct itimerspec`` of timerfd_settime(2)."""

    _fields_ = [
        ("every_seconds", ctypes.c_long),
        ("every_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    ]


class Bell:
    """Made before the first fork. ``fd`` is readable while it rings; all methods may be called by
    any process and at any time."""

    def __init__(self) -> None:
        self._timer = _timer()
        self._waker = Waker() if self._timer < 0 else None
        self.fd = self._timer if self._waker is None else self._waker.fd

    def ring_in(self, seconds: float) -> None:
        """Ring after so many seconds, unless silenced before."""
        if self._waker is not None:
            self._waker.set()
        else:
            self._set(max(1, int(seconds * 1e9)))

    def silence(self) -> None:
        """Do not ring, or not any more."""
        if self._waker is not None:
            self._waker.clear()
        else:
            self._set(0)

    def answer(self) -> bool:
        """Whether it rang; of all processes that hear it, one is told so, and it stops."""
        try:
            return bool(os.read(self.fd, 8))
        except BlockingIOError:
            return False

    def __del__(self) -> None:
        if getattr(self, "_timer", -1) >= 0:
            os.close(self._timer)

    def _set(self, nanoseconds: int) -> None:
        seconds, nanoseconds = divmod(nanoseconds, 1_000_000_000)
        moment = _Moment(seconds=seconds, nanoseconds=nanoseconds)
        assert _LIBC is not None
        _LIBC.timerfd_settime(self._timer, 0, ctypes.byref(moment), None)


def _timer() -> int:
    """The file descriptor of a new timer; -1: there are none here."""
    if _LIBC is None:
        return -1
    return int(_LIBC.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC))
