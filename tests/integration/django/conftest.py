"""A real Django project whose commands, servers and workers are started as a person starts them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.deployment import Node, await_true

SOURCE = Path(__file__).parent / "project"


class Project:
    """``project/`` with data of its own in ``folder``; ``settings`` for ``--settings``."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.nodes: list[Node] = []
        inherited = {name: value for name, value in os.environ.items() if "DJANGO" not in name}
        self.environment = inherited | {"PROJECT_DATA": str(folder)} | environment

    def manage(
        self, *arguments: str, text: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """One ``manage.py`` command, to its end."""
        return self.run("manage.py", *arguments, text=text, **environment)

    def umbel(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """One ``umbel`` command, to its end."""
        return self.run("-m", "umbel", *arguments, **environment)

    def run(
        self, *arguments: str, text: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            env=self.environment | environment,
            cwd=SOURCE,
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def evaluate(self, expression: str, **environment: str) -> Any:
        """What this Python expression is inside the project, by way of JSON."""
        code = (
            "import django, json; django.setup(); from umbel import current_app as app; "
            f"print(json.dumps({expression}))"
        )
        done = self.run("-c", code, **{"DJANGO_SETTINGS_MODULE": "settings", **environment})
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def call(self, task: str, *arguments: Any) -> Any:
        """Send a task and wait for what it returns."""
        expression = f"app.send_task({task!r}, {arguments!r}).get(timeout=20)"
        return self.evaluate(f"(app.import_modules(), {expression})[1]")

    def worker(self, *arguments: str, **environment: str) -> Node:
        """``manage.py celery worker``, when it takes messages."""
        node = self.start(
            "manage.py", "celery", "worker", "-l", "INFO", "--health", str(self.folder / "worker.sock"),
            *arguments, name="worker", **environment,
        )  # fmt: skip
        await_true(node.ready, 20, "the worker is ready")
        return node

    def worker_of(self, app: str, **environment: str) -> Node:
        """``umbel -A app worker``, when it takes messages."""
        node = self.start(
            "-m", "umbel", "-A", app, "worker", "-l", "INFO",
            "--health", str(self.folder / "worker.sock"), name="worker", **environment,
        )  # fmt: skip
        await_true(node.ready, 20, "the worker is ready")
        return node

    def start(self, *arguments: str, name: str, **environment: str) -> Node:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                env=self.environment | environment,
                cwd=SOURCE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.nodes.append(Node(process, self.folder, name))
        return self.nodes[-1]

    @contextmanager
    def site(self) -> Iterator[str]:
        """``manage.py runserver``; its address."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = f"127.0.0.1:{listener.getsockname()[1]}"
        node = self.start("manage.py", "runserver", "--noreload", address, name="site")
        await_true(lambda: answers(address, node), 20, "the site answers")
        yield f"http://{address}"
        node.end()

    def end(self) -> None:
        for node in self.nodes:
            node.end()


def answers(address: str, node: Node) -> bool:
    assert node.process.poll() is None, f"the site ended: {node.log}"
    host, _, port = address.partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def read_json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return json.load(answer)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the project's tables."""
    project = Project(tmp_path_factory.mktemp("migrated"))
    done = project.manage("migrate", "-v", "0")
    assert done.returncode == 0, done.stderr
    return project.folder / "db.sqlite3"


@pytest.fixture
def project(tmp_path: Path, migrated: Path) -> Iterator[Project]:
    shutil.copy(migrated, tmp_path)
    made = Project(tmp_path)
    yield made
    made.end()
