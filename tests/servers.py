"""Private servers for tests: each on a free loopback port, with its data in a temporary directory.

A test may stop, kill and restart its server. Ports are chosen by the system, so sessions can run
side by side; a server that finds its port taken meanwhile is started on another.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import hiredis
from scripts.services import SERVERS

__all__ = ["RedisServer", "free_port", "redis_server"]

#: Seconds within which a server answers or has ended.
PATIENCE = 15.0


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RedisServer:
    """One redis-server process. ``appendonly``: what it acknowledged survives ``kill``; otherwise
    everything is gone after a restart.

    It leaves it to the system when to write to the disk: then each command is with the system before
    it is answered. With ``everysec``, answers do not wait while a slow disk is being synced, and a
    killed process takes up to two seconds of acknowledged commands with it.
    """

    def __init__(
        self,
        *,
        directory: Path | None = None,
        appendonly: bool = False,
        password: str | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self.appendonly = appendonly
        self.password = password
        self.options = tuple(options)
        self.port = free_port()
        self.folder = directory or Path(tempfile.mkdtemp(prefix="umbel-redis-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._ran_before = False

    @property
    def url(self) -> str:
        """The address of its first database."""
        return self.url_of(0)

    def url_of(self, db: int) -> str:
        """The address of one of its databases."""
        secret = f":{self.password}@" if self.password else ""
        return f"redis://{secret}127.0.0.1:{self.port}/{db}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server does not run"
        return self._process.pid

    def start(self) -> None:
        """Start it, if it does not run, and wait until it answers. The port stays once it has run."""
        if self._process is not None and self._process.poll() is None:
            return
        deadline = time.monotonic() + PATIENCE
        while not self._start_once(deadline):
            assert time.monotonic() < deadline, self.log()
            if not self._ran_before:
                self.port = free_port()
        self._ran_before = True

    def stop(self) -> None:
        """Ask it to end; without ``appendonly`` its data is lost."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop it, if it runs, and start it again on the same port."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Let it neither work nor answer; connections stay open."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def remove(self) -> None:
        """Stop it and delete its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, *command: bytes | str | int, db: int = 0) -> object:
        """One command on a connection of its own; an error answer is raised."""
        reader = hiredis.Reader()
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
            commands: list[tuple[bytes | str | int, ...]] = [("SELECT", db), command]
            if self.password:
                commands.insert(0, ("AUTH", self.password))
            connection.sendall(b"".join(hiredis.pack_command(one) for one in commands))
            answers: list[object] = []
            while len(answers) < len(commands):
                data = connection.recv(65536)
                if not data:
                    raise ConnectionError("the server closed the connection")
                reader.feed(data)
                while len(answers) < len(commands) and (answer := reader.gets()) is not False:
                    answers.append(answer)
        if isinstance(answers[-1], Exception):
            raise answers[-1]
        return answers[-1]

    def log(self) -> str:
        """What it wrote to its log."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _start_once(self, deadline: float) -> bool:
        (program,) = (server.find() for server in SERVERS if server.marker == "redis")
        assert program is not None, "redis-server is not installed"
        arguments = [
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)),
            *("--save", "", "--logfile", str(self.folder / "log"), "--daemonize", "no"),
            *("--appendonly", "yes" if self.appendonly else "no", "--appendfsync", "no"),
            *(("--requirepass", self.password) if self.password else ()),
            *self.options,
        ]
        self._process = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL)
        while self._process.poll() is None:
            try:
                if self.call("PING") == b"PONG":
                    return True
            except (OSError, hiredis.ReplyError):  # not yet; or it still loads its data
                pass
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.01)
        self._process = None
        return False

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        self._process.send_signal(signal.SIGCONT)  # a frozen process ends only when it goes on
        self._process.wait(PATIENCE)
        self._process = None


@contextmanager
def redis_server(
    *, appendonly: bool = False, password: str | None = None, options: Sequence[str] = ()
) -> Iterator[RedisServer]:
    """A running server for the length of a block."""
    server = RedisServer(appendonly=appendonly, password=password, options=options)
    try:
        server.start()
        yield server
    finally:
        server.remove()
