"""``umbel worker --reload``: for development, a worker that is started anew when code changes.

This process imports nothing of the project. It runs the same command without ``--reload`` as its
child, and when a Python file below the current directory changes, has it finish what runs and
starts the next one. A worker that ends by itself, as with a syntax error, waits for a change.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import click

__all__ = ["run_reloading"]

#: Seconds between looks at whether the worker still runs.
LOOK_EVERY = 0.3
#: The terminal sends these to the worker as well.
_FROM_TERMINAL = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


def run_reloading(folder: Path) -> int:
    """Run this command line without ``--reload``, again after every change in the folder, until
    told to stop; the exit code of the last worker."""
    try:
        watchfiles = importlib.import_module("watchfiles")
    except ModuleNotFoundError as error:
        if error.name != "watchfiles":
            raise
        raise click.ClickException(
            "--reload needs the package watchfiles: pip install 'umbel[reload]'"
        ) from None
    return Reloader(folder, watchfiles).run()


class Reloader:
    """One worker after another, of which each has the code as it is then."""

    def __init__(self, folder: Path, watchfiles: Any) -> None:
        self.folder = folder
        self.command = [sys.executable, *(w for w in sys.orig_argv[1:] if w != "--reload")]
        self._watch = watchfiles.watch(
            folder,
            watch_filter=watchfiles.PythonFilter(),
            stop_event=(stop := threading.Event()),
            rust_timeout=int(LOOK_EVERY * 1000),
            yield_on_timeout=True,
            raise_interrupt=False,
        )
        self._stop = stop
        self._worker: subprocess.Popen[bytes] | None = None
        self._lost = False

    def run(self) -> int:
        """Until a signal says stop, which the worker gets too."""
        for number in (signal.SIGTERM, *_FROM_TERMINAL):
            signal.signal(number, self._forward)
        self._start()
        for changes in self._watch:
            if self._stop.is_set():
                break
            if changes:
                self._replace(sorted(path for _change, path in changes))
            else:
                self._look()
        return 0 if self._worker is None else self._worker.wait()

    def _start(self) -> None:
        self._lost = False
        self._worker = subprocess.Popen(self.command)  # noqa: S603 - what started us

    def _replace(self, paths: list[str]) -> None:
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        _say(f"{os.path.relpath(paths[0], self.folder)}{more} changed: starting anew")
        if self._worker is not None and self._worker.poll() is None:
            self._worker.terminate()
            self._worker.wait()
        if not self._stop.is_set():
            self._start()

    def _look(self) -> None:
        if self._worker is not None and self._worker.poll() is not None and not self._lost:
            self._lost = True
            _say(f"the worker ended with {self._worker.returncode}; waiting for a change")

    def _forward(self, signum: int, _frame: FrameType | None) -> None:
        self._stop.set()
        worker = self._worker
        told = signum in _FROM_TERMINAL and os.isatty(0)
        if worker is not None and worker.returncode is None and not told:
            worker.send_signal(signum)


def _say(text: str) -> None:
    click.echo(f"reload: {text}", err=True)
