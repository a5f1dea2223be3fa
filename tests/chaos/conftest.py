"""Chance, stores and figures for the tests that kill things.

Every test draws from a random sequence of its own, made from CHAOS_SEED and its name; the seed is
printed, so that a run can be repeated. Figures that a test measured are printed at the end.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.servers import RedisServer

SEED = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(1_000_000))
FIGURES: list[str] = []

#: Short enough for tests; the proportions are those of the defaults.
QUICK = {"worker_heartbeat_interval": 0.3, "worker_heartbeat_limit": 2.0}


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    print(f"CHAOS_SEED={SEED} repeats this")
    return random.Random(f"{SEED} {request.node.nodeid}")


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say what was measured; shown at the end of the session."""

    def say(line: str) -> None:
        print(line)
        FIGURES.append(f"{request.node.name}: {line}")

    return say


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section(f"chaos (CHAOS_SEED={SEED})")
    for line in FIGURES:
        terminalreporter.write_line(line)


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.redis)])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def new_store(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Gives the URL of an empty store at each call, at most sixteen times."""
    server: RedisServer | None = None
    if kind == "redis":
        server = request.getfixturevalue("own_redis")
    made = 0

    def make() -> str:
        nonlocal made
        made += 1
        if server is not None:
            return server.url_of(made - 1)
        return f"sqlite:///{tmp_path}/store{made}.sqlite3"

    return make
