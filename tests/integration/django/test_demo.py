"""The demonstration, used as a visitor uses it, and ended in every way in which it can be ended."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil
import pytest
from tests.deployment import await_true

DEMO = Path(__file__).parents[3] / "examples" / "django_demo"
if str(DEMO) not in sys.path:
    sys.path.append(str(DEMO))

from launch.children import Child, run_to_end  # noqa: E402 - found through the line above
from launch.visitor import Visitor, wait_for_answer  # noqa: E402

MEASUREMENTS = "station;temperature\n" + "".join(
    f"{name};{number / 10:.1f}".replace(".", ",") + "\n"
    for number in range(-50, 250)
    for name in ("Nord", "Süd")
)


def run_once(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(DEMO / "run.py"), "--once", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


class Site:
    """A running demonstration: its process, those that it started, and a visitor."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process = process
        self.address = address
        self.children = psutil.Process(process.pid).children(recursive=True)
        self.visitor = Visitor(address)

    def analyse(self, path: Path) -> dict[str, Any]:
        """What the job's page knows in the end."""
        self.url = self.visitor.upload(path)
        return await_true(lambda: ended(self.url), 20)


def ended(url: str) -> dict[str, Any] | None:
    state = json.loads(read(f"{url}state.json"))
    return state if state["ready"] else None


def read(url: str) -> str:
    with urlopen(url, timeout=20) as answer:
        return answer.read().decode()


@contextmanager
def demonstration(folder: Path) -> Iterator[Site]:
    process = subprocess.Popen(
        [sys.executable, str(DEMO / "run.py"), "--port", "0"],
        env={**os.environ, "DEMO_DATA_DIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    said = iter(process.stdout.readline, "")
    try:
        line = next(line for line in said if "runs at http://" in line)
        yield Site(process, line.split()[-1])
    finally:
        process.terminate()
        process.communicate()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with demonstration(tmp_path_factory.mktemp("demo")) as started:
        yield started


def test_the_sample_is_analysed_without_a_person() -> None:
    done = run_once()

    assert done.returncode == 0, done.stdout + done.stderr
    assert "access log: 240,000 lines" in done.stdout
    assert "PROGRESS: " in done.stdout
    assert "/reports/monthly.pdf" in done.stdout.partition("slowest")[2]


def test_a_table_of_ones_own_is_analysed(tmp_path: Path) -> None:
    path = tmp_path / "Größen 2026.csv"
    path.write_text(MEASUREMENTS, encoding="cp1252")

    done = run_once("--file", str(path))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "table: 601 lines" in done.stdout
    assert "(cp1252)" in done.stdout
    assert "distribution of temperature" in done.stdout


def test_a_file_that_is_no_text_ends_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "access.log.gz"
    path.write_bytes(gzip.compress(b"GET / 200\n" * 100))

    done = run_once("--file", str(path))

    assert done.returncode == 1
    assert done.stderr == (
        "The demonstration failed: This is not a text file but a gzip archive: unpack it first.\n"
    )


def test_the_page_of_a_job_shows_the_report_and_its_chart(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "<b>values.csv"
    path.write_text(MEASUREMENTS, encoding="utf-8")

    report = site.analyse(path)["report"]
    page = read(site.url)

    assert (report["rows"], report["separator"], report["header"]) == (600, "semicolon", True)
    assert report["columns"][1]["maximum"] == 24.9
    assert page.count('<rect class="bar"') == len(report["histogram"]["bars"])
    assert "&lt;b&gt;values.csv" in page
    assert "Nord" in page
    assert "job.js" not in page  # nothing left to wait for


def test_a_log_without_times_is_shown_without_slow_paths(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text(
        '::1 - - [01/Feb/2026:10:00:00 +0100] "GET /<script> HTTP/1.1" 200 12\n' * 3 + "noise\n"
    )

    report = site.analyse(path)["report"]
    page = read(site.url)

    assert (report["requests"], report["malformed"], report["statuses"]) == (3, 1, [["200", 3]])
    assert "/&lt;script&gt;" in page
    assert "<script>" not in page
    assert "how long requests took" in page
    assert "noise" in page


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (bytes(range(256)) * 50, "NUL bytes"),
        (b"\n\n \n", "nothing but blank lines"),
        (b"Dear diary,\nnothing happened.\n", "neither an access log nor a table"),
    ],
)
def test_a_file_that_cannot_be_analysed_says_why_on_its_page(
    site: Site, tmp_path: Path, content: bytes, says: str
) -> None:
    path = tmp_path / "upload"
    path.write_bytes(content)

    state = site.analyse(path)

    assert (state["state"], state["ready"]) == ("FAILURE", True)
    assert says in state["error"]
    assert says in read(site.url)


def test_an_empty_file_is_refused_by_the_form(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    path.touch()

    with pytest.raises(HTTPError) as refused:
        site.visitor.upload(path)

    assert refused.value.code == 400
    assert "This file is empty" in refused.value.read().decode()


@pytest.mark.parametrize(
    "path", ["nowhere/", "jobs/7/", "jobs/00000000-0000-4000-8000-000000000000/"]
)
def test_an_unknown_address_has_a_page_of_its_own(site: Site, path: str) -> None:
    with pytest.raises(HTTPError) as missing:
        read(site.address + path)

    assert missing.value.code == 404
    assert "There is nothing here" in missing.value.read().decode()


def test_the_state_of_an_unknown_job_is_not_found_as_json(site: Site) -> None:
    with pytest.raises(HTTPError) as missing:
        read(f"{site.address}jobs/00000000-0000-4000-8000-000000000000/state.json")

    assert missing.value.code == 404
    assert json.load(missing.value) == {"error": "There is no such job."}


def test_pages_load_nothing_from_elsewhere_and_their_own_files_are_there(site: Site) -> None:
    page = read(site.address)
    own = ["static/analysis/style.css", "static/analysis/job.js", "static/analysis/umbel.svg"]

    assert "//" not in page.replace("<!doctype", "").replace(site.address, "")
    for path in own:
        text = read(site.address + path)
        assert text
        assert "https:" not in text


def test_the_admin_is_there(site: Site) -> None:
    assert "Django administration" in read(f"{site.address}admin/login/")


def test_without_a_worker_the_page_says_so_and_goes_on_when_one_comes(tmp_path: Path) -> None:
    environment = {**os.environ, "DEMO_DATA_DIR": str(tmp_path)}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = f"127.0.0.1:{listener.getsockname()[1]}"
    manage = [sys.executable, str(DEMO / "manage.py")]
    path = tmp_path / "numbers.csv"
    path.write_text("value\n1\n2\n")
    run_to_end([*manage, "migrate", "-v", "0"], environment)
    with Child("web", [*manage, "runserver", "--noreload", host], environment) as web:
        wait_for_answer(f"http://{host}/", web, time.monotonic() + 20)
        url = Visitor(f"http://{host}/").upload(path)
        assert not json.loads(read(f"{url}state.json"))["no_worker"]
        assert 'role="status" hidden' in read(url)

        await_true(lambda: json.loads(read(f"{url}state.json"))["no_worker"], 10)
        page = read(url)
        assert 'role="status" hidden' not in page
        assert "python manage.py celery worker" in page

        with Child("worker", [*manage, "celery", "worker", "-c", "1"], environment):
            assert await_true(lambda: ended(url), 20)["report"]["rows"] == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything(tmp_path: Path, number: signal.Signals) -> None:
    with demonstration(tmp_path) as site:
        assert len(site.children) >= 4  # the web server, the worker and its two processes

        site.process.send_signal(number)
        said, _ = site.process.communicate(timeout=30)

        assert site.process.returncode == 0
        assert said.endswith("The web server and the worker have stopped.\n")
        assert not [child for child in site.children if child.is_running()]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a death by KILL")
def test_nothing_outlives_a_demonstration_that_was_killed(tmp_path: Path) -> None:
    with demonstration(tmp_path) as site:
        site.process.kill()

        gone, alive = psutil.wait_procs(site.children, timeout=15)

    assert len(gone) >= 4
    assert alive == []


def test_a_worker_that_cannot_start_ends_the_demonstration_with_the_reason() -> None:
    done = run_once(CELERY_BROKER_URL="rediss:/nonsense")

    assert done.returncode == 1
    assert "The demonstration failed: the worker process ended" in done.stderr
    assert "nonsense" in done.stderr
