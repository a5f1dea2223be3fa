"""One worker for all lessons, on one file in a folder of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def lessons(
    tmp_path_factory: pytest.TempPathFactory, no_process_outlives_the_tests: None
) -> Iterator[Any]:
    """The module of the lessons, with a worker that waits for their tasks."""
    folder = tmp_path_factory.mktemp("lessons")
    sys.path.insert(0, str(HERE))
    import lessons

    lessons.app.default_directory = folder
    command = [sys.executable, "-m", "umbel", "-A", "lessons", "worker", "-l", "info", "-c", "1"]
    worker = subprocess.Popen(
        [*command, "-Q", "celery,letters"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(HERE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert worker.stdout is not None
    try:
        ready = any(line.rstrip().endswith(" ready.") for line in worker.stdout)
        assert ready, "the worker ended before it was ready"
        yield lessons
    finally:
        worker.terminate()
        worker.communicate(timeout=30)
        lessons.app.close()
        sys.path.remove(str(HERE))
