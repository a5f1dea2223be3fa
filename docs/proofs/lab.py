"""A private Redis and real Celery workers for one demonstration; all of it ends with the block."""
# ruff: noqa: INP001, S603 - scripts that start programs

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import redis
from celery import Celery

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
#: What experienced people set for reliability: nothing is acknowledged before it ran, nothing is
#: prefetched, and a killed child does not cost the message.
CAREFUL = {
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "worker_prefetch_multiplier": 1,
    "worker_disable_prefetch": True,
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(ask: Callable[[], Any], within: float) -> bool:
    """Whether the answer became true in time."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        if ask():
            return True
        time.sleep(0.05)
    return False


class Worker:
    """One ``celery worker`` in a session of its own."""

    def __init__(self, process: subprocess.Popen[bytes], path: Path) -> None:
        self.process = process
        self.path = path

    @property
    def log(self) -> str:
        return self.path.read_text(errors="replace")

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def children(self) -> list[int]:
        pid = self.process.pid
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(child) for child in text.split()]

    def kill_all(self, number: signal.Signals = signal.SIGKILL) -> None:
        """The parent and its children."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        if number == signal.SIGKILL:
            self.process.wait()

    def stop(self, within: float = 20) -> None:
        """As a user does: TERM to the parent, and KILL when that takes too long."""
        self.process.terminate()
        try:
            self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill_all()

    def told(self, *words: str) -> list[str]:
        """Lines of its log with one of these words."""
        return [line for line in self.log.splitlines() if any(word in line for word in words)]


class Lab:
    """``with Lab(settings) as lab``: the settings are the workers'."""

    def __init__(self, settings: dict[str, Any] | None = None, *, appendonly: bool = False) -> None:
        self.settings = settings or {}
        self.folder = Path(tempfile.mkdtemp(prefix="celery-lab-"))
        self.port = free_port()
        self.appendonly = appendonly
        self.workers: list[Worker] = []
        self.server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start_server()
        self.redis = redis.Redis(port=self.port)
        self.client = self.make_client()
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.kill_all()
        self.kill_server()
        shutil.rmtree(self.folder, ignore_errors=True)

    def make_client(self, port: int = 0) -> Celery:
        url = f"redis://127.0.0.1:{port or self.port}"
        return Celery("client", broker=f"{url}/0", backend=f"{url}/1", set_as_current=False)

    def start_server(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--dir", str(self.folder), "--appendonly", "yes" if self.appendonly else "no"]
        self.server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        assert wait_for(self.answers, 10)

    def answers(self) -> bool:
        try:
            return bool(redis.Redis(port=self.port).ping())
        except redis.RedisError:
            return False

    def kill_server(self) -> None:
        if self.server is not None:
            self.server.kill()
            self.server.wait()
            self.server = None

    def environment(self, **extra: str) -> dict[str, str]:
        return {
            **os.environ,
            "LAB_PORT": str(self.port),
            "LAB_LOG": str(self.folder / "runs.log"),
            "LAB_SETTINGS": json.dumps(self.settings),
            **extra,
        }

    def celery(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "celery", "-A", "tasks", *arguments]

    def worker(self, name: str, *options: str, ready: bool = True, **extra: str) -> Worker:
        command = self.celery("worker", "-l", "INFO", "-n", f"{name}@lab", *options)
        path = self.folder / f"{name}.log"
        with path.open("ab") as log:
            process = subprocess.Popen(
                command, cwd=HERE, env=self.environment(**extra), stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self.workers.append(Worker(process, path))
        if ready:
            assert wait_for(lambda: " ready." in self.workers[-1].log, 30), self.workers[-1].log[
                -500:
            ]
        return self.workers[-1]

    def runs(self) -> list[tuple[float, int, str, str]]:
        """(moment, pid, start or end, tag)."""
        path = self.folder / "runs.log"
        if not path.exists():
            return []
        lines = [line.split() for line in path.read_text().splitlines()]
        return [(float(line[0]), int(line[1]), line[2], line[3]) for line in lines]

    def count(self, what: str) -> Counter[str]:
        return Counter(run[3] for run in self.runs() if run[2] == what)

    def waiting(self) -> str:
        """What lies in Redis."""
        queue, unacked = self.redis.llen("celery"), self.redis.hlen("unacked")
        return f"queue {queue}, unacked {unacked}"

    def report(self, sent: int) -> str:
        ends = self.count("end")
        twice = sum(number > 1 for number in ends.values())
        return f"{len(ends)} of {sent} done, {twice} more than once; {self.waiting()}"


def resident(pids: list[int]) -> float:
    """Megabytes, without pages of files."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon"):
                total += int(line.split()[1])
    return total / 1000
