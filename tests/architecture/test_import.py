"""``import umbel`` is cheap, because every command, every web process and every worker does it."""

from __future__ import annotations

import subprocess
import sys

#: Brought along by nothing that every program needs.
HEAVY = (
    "asyncio", "click", "concurrent", "django", "email", "hiredis", "http", "importlib.metadata",
    "redis", "socket", "sqlite3", "ssl", "subprocess", "yaml",
)  # fmt: skip

PROGRAM = """
import sys, time
began = time.process_time()
import decimal, difflib, fnmatch, inspect, json, logging, pathlib, pickle, threading, zoneinfo
import msgspec
libraries = time.process_time()
import umbel
ended = time.process_time()
print(libraries - began, ended - libraries, *(name for name in {heavy} if name in sys.modules))
"""


def imported(pycache: str) -> tuple[float, float, list[str]]:
    """CPU seconds for the libraries that are needed, and for our own modules; what is heavy."""
    done = subprocess.run(
        [sys.executable, "-X", f"pycache_prefix={pycache}", "-c", PROGRAM.format(heavy=HEAVY)],
        env={"PYTHONDONTWRITEBYTECODE": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    libraries, own, *heavy = done.stdout.split()
    return float(libraries), float(own), heavy


def test_importing_umbel_brings_nothing_heavy_and_costs_less_than_its_libraries(tmp_path):
    runs = [imported(str(tmp_path)) for _ in range(6)]

    libraries = min(run[0] for run in runs)
    own = min(run[1] for run in runs)
    print(f"libraries: {libraries * 1000:.0f} ms, umbel: {own * 1000:.0f} ms")
    assert runs[0][2] == []
    # Compared with each other, because a busy machine slows both.
    assert own < libraries


def test_a_module_with_commands_of_its_own_does_not_bring_the_worker():
    program = "import umbel, sys; before = set(sys.modules); import umbel.remote; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == [
        "umbel.remote",
        "umbel.worker",
        "umbel.worker.commands",
        "umbel.worker.commands.registry",
    ]
