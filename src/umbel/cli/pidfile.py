"""A file with the process id of a worker: it keeps a second one from starting, and tells others
whom to signal."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

__all__ = ["Occupied", "is_alive", "pidfile", "read_pid", "refuse_occupied"]


#: What the kernel takes as a process id.
_LARGEST: Final = 2**31 - 1


class Occupied(click.ClickException):
    """Another worker has this pidfile, or it cannot be written."""

    exit_code = 73  # EX_CANTCREAT


def read_pid(path: Path) -> int | None:
    """The process id in the file; None where there is none."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    except OSError as error:
        raise Occupied(f"cannot read the pidfile {path}: {error.strerror}") from None
    return int(text) if text.isdigit() and 0 < int(text) <= _LARGEST else None


def is_alive(pid: int) -> bool:
    """Whether a process of this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def refuse_occupied(path: Path) -> None:
    """Raise ``Occupied`` when the process named in the file lives."""
    pid = read_pid(path)
    if pid is not None and pid != os.getpid() and is_alive(pid):
        raise Occupied(
            f"{path} belongs to the process {pid}, which is running: stop it, or name another "
            "--pidfile"
        )


@contextmanager
def pidfile(path: Path) -> Iterator[None]:
    """Holds the id of this process for the time of the block. That of a process that is gone is
    replaced; one that lives is refused."""
    _claim(path)
    try:
        yield
    finally:
        if read_pid(path) == os.getpid():
            path.unlink(missing_ok=True)


def _claim(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while not _write(path):
            pass
    except OSError as error:
        raise Occupied(f"cannot write the pidfile {path}: {error.strerror}") from None


def _write(path: Path) -> bool:
    """False when the file was taken away between opening and locking it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        # Two that find the same stale file must not both replace it.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if not path.exists() or os.fstat(descriptor).st_ino != path.stat().st_ino:
            return False
        refuse_occupied(path)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
    finally:
        os.close(descriptor)
    return True
