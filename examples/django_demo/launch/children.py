"""A child process that never outlives the one that started it, with the last lines it said."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import NoReturn, Self

__all__ = ["Child", "ChildFailed", "run_to_end"]

_STOP_TIMEOUT = 15.0
_LINES_KEPT = 30
_PR_SET_PDEATHSIG = 1


class ChildFailed(Exception):
    """A child ended, or did not start, with what it said last."""


def run_to_end(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run a command that does its work and ends."""
    done = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=_die_with_parent,
    )
    if done.returncode:
        raise ChildFailed(f"{' '.join(command[-3:])} failed:\n{done.stdout}{done.stderr}")


class Child:
    """Started when entered, stopped when left: asked first, then ended with all it started."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self._command = command
        self._environment = environment
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._listener: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Out of the terminal's foreground group: Ctrl-C reaches run.py, which stops us in order.
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - no thread of ours runs yet
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with suppress(ProcessLookupError):  # nothing of it is left, as it should be
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            if self._listener is not None:
                self._listener.join()
            if self._process.stdout is not None:
                self._process.stdout.close()

    def listen(self, *, quiet: bool) -> None:
        """Begin to read what it says; ``quiet`` keeps it for error messages only."""
        self._listener = threading.Thread(target=self._listen, args=(quiet,), daemon=True)
        self._listener.start()

    def _listen(self, quiet: bool) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            text = line.decode(errors="replace").rstrip()
            self._lines.append(text)
            if not quiet:
                print(f"{self.name:>6} | {text}", flush=True)

    def fail(self, problem: str) -> NoReturn:
        """Raise ChildFailed with this and with what it said last."""
        raise ChildFailed("\n".join([f"the {self.name} process {problem}. It said:", *self._lines]))

    def check(self) -> None:
        """Raise ChildFailed when it has ended."""
        code = self._process.poll()
        if code is not None:
            time.sleep(0.1)  # its last words are still being read
            self.fail(f"ended with exit code {code}")


def _die_with_parent() -> None:
    """Ask the kernel for a TERM when the parent dies, even by KILL. Linux only; elsewhere a parent
    that dies that hard leaves its children."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
