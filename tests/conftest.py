"""What every test may ask for, and two rules for all of them.

A test marked with the name of a server (see ``scripts/services.py``), or with a fixture of it, is
skipped where the program is not installed, and fails instead when CI=true: a skipped test proves
nothing. And no process that a test started may outlive the session.

Servers are private. Each pytest process (so each worker of pytest-xdist) has one of a kind, which
is emptied before every test that takes it; a test that ends or freezes its server takes its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from uuid import uuid4

import psutil
import pytest
from scripts.services import SERVERS, strict
from tests.servers import RedisServer, redis_server

MISSING = {server.marker: server for server in SERVERS if server.find() is None}

#: Who takes one of these needs the server whose marker stands behind it.
SERVER_FIXTURES = {"own_redis": "redis", "redis_url": "redis", "shared_redis": "redis"}

#: Inherited by every process that a test starts, and by theirs.
SESSION = "UMBEL_TEST_SESSION"

#: Python's own; it ends with the process that it belongs to.
NOT_OURS = "multiprocessing.resource_tracker"


def pytest_itemcollected(item: pytest.Item) -> None:
    for fixture in getattr(item, "fixturenames", ()):
        if fixture in SERVER_FIXTURES:
            item.add_marker(SERVER_FIXTURES[fixture])


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, server in MISSING.items():
        if item.get_closest_marker(marker):
            reason = f"{server.program} is not installed (make services; package {server.package})"
            (pytest.fail if strict() else pytest.skip)(reason)


@pytest.fixture(scope="session", autouse=True)
def no_process_outlives_the_tests() -> Iterator[None]:
    session = os.environ[SESSION] = uuid4().hex
    yield
    _, alive = psutil.wait_procs(processes_of(session), timeout=5)
    described = [describe(process) for process in alive]
    for process in alive:
        process.kill()
    assert not described, "tests left processes behind:\n" + "\n".join(described)


@pytest.fixture(scope="session")
def shared_redis(no_process_outlives_the_tests: None) -> Iterator[RedisServer]:
    """The server of this pytest process. Take ``redis_url`` unless you need the server itself."""
    with redis_server() as server:
        yield server


@pytest.fixture
def redis_url(shared_redis: RedisServer) -> str:
    """An empty Redis."""
    shared_redis.call("FLUSHALL")
    return shared_redis.url


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis of this test's own, which keeps what it acknowledged: to kill, freeze or restart."""
    with redis_server(appendonly=True) as server:
        yield server


def processes_of(session: str) -> list[psutil.Process]:
    """Children, however they were made, and whatever carries the mark, also without a parent."""
    myself = psutil.Process()
    found = {process.pid: process for process in myself.children(recursive=True)}
    found |= {process.pid: process for process in psutil.process_iter() if marked(process, session)}
    found.pop(myself.pid, None)
    return [process for process in found.values() if counts(process)]


def marked(process: psutil.Process, session: str) -> bool:
    try:
        return process.environ().get(SESSION) == session
    except psutil.Error:
        return False


def counts(process: psutil.Process) -> bool:
    try:
        ended = process.status() == psutil.STATUS_ZOMBIE
        return not ended and NOT_OURS not in " ".join(process.cmdline())
    except psutil.Error:
        return False


def describe(process: psutil.Process) -> str:
    """The command, and the test that started it where that is known."""
    try:
        test = process.environ().get("PYTEST_CURRENT_TEST", "an unknown test")
        return f"{process.pid} {' '.join(process.cmdline())} (started by {test})"
    except psutil.Error:
        return f"{process.pid} (ended meanwhile)"
