"""Real workers for tests: started as a user starts them, watched through their log and probes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from umbel.worker.services.health import probe

ROOT = Path(__file__).resolve().parent.parent
T = TypeVar("T")


def await_true(ask: Callable[[], T], within: float, what: str = "") -> T:
    """The first truthy answer; an assertion error when there is none in time."""
    end = time.monotonic() + within
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {within} s: {what or ask}; last answer: {answer!r}")
        time.sleep(0.01)


class Runs:
    """What ``tests/apps/marks.py`` wrote down."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0
        self._lines: list[tuple[float, int, str, str, str]] = []

    def lines(self) -> list[tuple[float, int, str, str, str]]:
        """(moment, pid, what, tag, task id) of every run so far; only what is new is read."""
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self._read)
                new = file.read()
            whole = new[: new.rfind(b"\n") + 1]
            self._read += len(whole)
            for line in whole.decode().splitlines():
                moment, pid, what, tag, task_id = line.split()
                self._lines.append((float(moment), int(pid), what, tag, task_id))
        return list(self._lines)

    def count(self, what: str) -> Counter[str]:
        """How often each tag was started or ended."""
        return Counter(line[3] for line in self.lines() if line[2] == what)

    def pids(self, tag: object) -> list[int]:
        return [line[1] for line in self.lines() if line[3] == str(tag) and line[2] == "start"]

    def moments(self, what: str, tag: object) -> list[float]:
        return [line[0] for line in self.lines() if line[3] == str(tag) and line[2] == what]


class Node:
    """One ``umbel worker``, in a session of its own."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, name: str) -> None:
        self.process = process
        self.pid = process.pid
        self.folder = folder
        self.name = name

    @property
    def log(self) -> str:
        return (self.folder / f"{self.name}.log").read_text()

    @property
    def socket(self) -> str:
        return str(self.folder / f"{self.name}.sock")

    def ready(self) -> bool:
        assert self.process.poll() is None, f"the worker ended: {self.log}"
        return probe(self.socket) == 200

    def children(self) -> list[int]:
        text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in text.split()]

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def signal_tree(self, number: signal.Signals) -> None:
        """To the supervisor and every child, as a group signal reaches them."""
        os.killpg(self.pid, number)

    def wait(self, within: float = 15) -> int:
        return self.process.wait(within)

    def end(self) -> None:
        """Whatever its state: nothing of it is left."""
        try:
            os.killpg(self.pid, signal.SIGCONT)
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


class Deployment:
    """A broker, a result backend, and workers of ``tests.apps.marks`` on them."""

    def __init__(self, folder: Path, broker: str, backend: str, **conf: Any) -> None:
        self.folder = folder
        self.broker_url = broker
        self.backend_url = backend
        self.conf = conf
        self.runs = Runs(folder / "runs.log")
        self.nodes: list[Node] = []

    @property
    def env(self) -> dict[str, str]:
        return {
            **os.environ,
            "MARKS_BROKER": self.broker_url,
            "MARKS_BACKEND": self.backend_url,
            "MARKS_LOG": str(self.runs.path),
            "MARKS_CONF": json.dumps(self.conf),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
        }

    def app(self) -> Any:
        """A client of its own in this process, with tasks of the same names."""
        from umbel import Umbel

        return Umbel(
            "client", broker=self.broker_url, backend=self.backend_url, set_as_current=False
        )

    def command(self, *arguments: str, app: str = "tests.apps.marks") -> list[str]:
        return [sys.executable, "-m", "umbel", "-A", app, *arguments]

    def start(
        self, *arguments: str, ready: bool = True, app: str = "tests.apps.marks", name: str = ""
    ) -> Node:
        """Start a worker and wait until it takes messages."""
        name = name or f"node{len(self.nodes)}"
        socket = str(self.folder / f"{name}.sock")
        command = self.command(
            "worker", "-l", "INFO", "--health", socket, "-n", f"{name}@test", *arguments, app=app
        )
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, env=self.env, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
            )
        node = Node(process, self.folder, name)
        self.nodes.append(node)
        if ready:
            await_true(node.ready, 15, f"worker {name} is ready")
        return node

    def run(
        self, *arguments: str, app: str = "tests.apps.marks"
    ) -> subprocess.CompletedProcess[str]:
        """One command of the command line, to its end."""
        return subprocess.run(
            self.command(*arguments, app=app),
            env=self.env, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip

    def end(self) -> None:
        for node in self.nodes:
            node.end()


@contextmanager
def deployment(folder: Path, broker: str, backend: str, **conf: Any) -> Iterator[Deployment]:
    """Ends every worker that it started."""
    made = Deployment(folder, broker, backend, **conf)
    try:
        yield made
    finally:
        made.end()
