"""What ``docs/deployment.md`` tells people to write down works."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from umbel.app.settings import SETTINGS
from umbel.cli.health import health
from umbel.cli.worker import worker

PAGE = (Path(__file__).parents[3] / "docs" / "deployment.md").read_text(encoding="utf-8")
UNIT = re.search(r"```ini\n(.*?)```", PAGE, re.DOTALL)[1]
DOCKERFILE = re.search(r"```dockerfile\n(.*?)```", PAGE, re.DOTALL)[1]


def value_of(key: str) -> str:
    return re.search(rf"^{key}=(.*)$", UNIT, re.MULTILINE)[1]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_unit(tmp_path):
    program = tmp_path / "umbel"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "umbel.service"
    here = UNIT.replace("/srv/shop/.venv/bin/umbel", str(program))
    unit.write_text(re.sub(r"^(User|Group|WorkingDirectory)=.*\n", "", here, flags=re.MULTILINE))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )

    about_the_unit = [line for line in done.stderr.splitlines() if "umbel" in line]
    assert about_the_unit == []


def test_the_unit_gives_a_worker_the_time_that_it_takes_to_stop():
    assert float(value_of("TimeoutStopSec")) > SETTINGS["worker_drain_timeout"].default
    assert (value_of("Type"), value_of("KillMode")) == ("exec", "mixed")


@pytest.mark.parametrize(
    "line",
    [
        shlex.split(value_of("ExecStart"))[1:],
        json.loads(re.search(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)[1])[1:],
    ],
    ids=["systemd", "docker"],
)
def test_the_commands_of_the_page_are_understood(line):
    assert line[:3] == ["-A", "shop", "worker"]
    context = worker.make_context("worker", line[3:], resilient_parsing=False)

    assert context.params["loglevel"] == "INFO"


def test_the_health_check_asks_where_the_worker_answers():
    check = json.loads(re.search(r"HEALTHCHECK .* CMD (.*)$", DOCKERFILE, re.MULTILINE)[1])
    run = json.loads(re.search(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)[1])

    asked = health.make_context("health", check[2:]).params["address"]
    assert asked == worker.make_context("worker", run[4:]).params["health"]
