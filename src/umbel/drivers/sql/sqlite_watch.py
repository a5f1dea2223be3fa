"""Noticing that somebody else has committed to an SQLite file.

``PRAGMA data_version`` tells it within microseconds, but does not wait. On Linux the kernel wakes
the waiter when the write-ahead log is written to (inotify); a moment later the commit shows. Where
that does not work, the version is asked for at short intervals that grow while nothing happens.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import sys
import time
from collections.abc import Callable, Collection, Hashable
from pathlib import Path

from umbel.drivers.sql.base import Watch

__all__ = ["LogNotice", "SqliteWatch"]

#: Looks in a row while the log was just written to, since the commit shows in a moment; then the
#: seconds between two of them.
_AT_ONCE = 6
_SOON_FIRST, _SOON_LAST = 0.0001, 0.001
#: Seconds for which that is expected (a commit that waits for the disk takes its time).
_SOON = 0.05
#: Seconds since the last change -> seconds between looks without notice.
_PACES = ((1.0, 0.001), (10.0, 0.005), (float("inf"), 0.02))
#: Seconds between looks when the kernel gives notice, in case that it does not. After so many changes
#: in a row without notice it is not relied upon for so many seconds.
_SAFETY = 0.25
_MISSES = 2
_DEAF_FOR = 60.0

_IN_MODIFY = 0x2
#: The file was deleted, and the watch with it.
_IN_IGNORED = 0x8000
#: ``struct inotify_event`` without its name, which files that are watched themselves do not have.
_EVENT = struct.Struct("iIII")
_EVENTS = 256 * _EVENT.size
#: Seconds that one goes without notice at a time: perhaps there is a log by then.
_WITHOUT_NOTICE = 1.0


class LogNotice:
    """The kernel's notice that the write-ahead log of an SQLite file was written to."""

    def __init__(self, path: Path) -> None:
        self._log = path.with_name(f"{path.name}-wal")
        self.fd = -1
        self._file: tuple[int, int] | None = None

    def arm(self) -> bool:
        """Be notified of what is written from now on; False where that cannot be. The log is made
        anew when the last connection closes, so this looks whether it is still the same."""
        try:
            status = self._log.stat()
        except OSError:
            return False
        file = (status.st_dev, status.st_ino)
        if file == self._file:
            return True
        self.close()
        if _libc is None:
            return False
        self.fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            return False
        if _libc.inotify_add_watch(self.fd, os.fsencode(self._log), _IN_MODIFY) < 0:
            self.close()
            return False
        self._file = file
        return True

    def clear(self) -> bool:
        """Forget what has been notified until now. False: the log is gone, and what has taken its
        place, maybe under the same number, is not watched."""
        there = True
        try:
            while events := os.read(self.fd, _EVENTS):
                there = there and not _tell_of_end(events)
        except BlockingIOError:
            pass
        if not there:
            self.close()
        return there

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1
        self._file = None


class SqliteWatch(Watch):
    """Used by one thread at a time. The version names the connection, which is that of the thread:
    what it commits itself is known to it, and what another thread has done is news."""

    def __init__(self, path: Path, version: Callable[[], Hashable]) -> None:
        self._version = version
        self._notice = LogNotice(path)
        #: Changes in a row that were found without the kernel's notice.
        self._missed = 0
        self._deaf_until = 0.0
        self._active_at = time.monotonic()
        self._pid = os.getpid()
        self.mark()

    def mark(self) -> None:
        self._known = self._version()

    def wait(self, timeout: float, fds: Collection[int] = ()) -> None:
        now = time.monotonic()
        armed = now >= self._deaf_until and self._arm()
        deadline = now + (timeout if armed else min(timeout, _WITHOUT_NOTICE))
        poll = select.poll()
        for fd in (*fds, self._notice.fd) if armed else fds:
            poll.register(fd, select.POLLIN)
        soon_until, looks, slept = 0.0, 0, False
        while not self._changed():
            now = time.monotonic()
            if now >= deadline:
                return
            if now < soon_until:
                looks += 1
                _pause(looks)
                readable = poll.poll(0)
            else:
                readable = poll.poll(min(deadline - now, self._interval(now, armed=armed)) * 1000)
                slept = armed
            noticed = armed and any(fd == self._notice.fd for fd, _ in readable)
            if len(readable) > noticed:
                return
            if noticed:
                if not self._notice.clear():
                    return
                self._missed = 0
                soon_until, looks, slept = time.monotonic() + _SOON, 0, False
        if slept:
            self._miss()

    def _arm(self) -> bool:
        notice = self._notice
        return notice.arm() and (notice.clear() or (notice.arm() and notice.clear()))

    def close(self) -> None:
        if self._pid == os.getpid():
            self._notice.close()

    def _changed(self) -> bool:
        """Whether there is news; it is news only once."""
        version = self._version()
        if version == self._known:
            return False
        self._known = version
        self._active_at = time.monotonic()
        return True

    def _miss(self) -> None:
        self._missed += 1
        if self._missed >= _MISSES:
            self._missed = 0
            self._deaf_until = time.monotonic() + _DEAF_FOR

    def _interval(self, now: float, *, armed: bool) -> float:
        if armed:
            return _SAFETY
        quiet = now - self._active_at
        return next(pace for until, pace in _PACES if quiet < until)


def _pause(looks: int) -> None:
    """Between looks for a commit that is under way."""
    if looks > _AT_ONCE:
        time.sleep(min(_SOON_LAST, _SOON_FIRST * (looks - _AT_ONCE)))


def _tell_of_end(events: bytes) -> bool:
    return any(mask & _IN_IGNORED for _watch, mask, _cookie, _length in _EVENT.iter_unpack(events))


def _load_libc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "inotify_init1") else None


_libc = _load_libc()
