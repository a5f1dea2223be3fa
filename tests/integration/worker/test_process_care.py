"""How a worker is started and what it writes to: files, formats, the background, rights."""

import json
import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.deployment import ROOT, Deployment, await_true


@pytest.fixture
def deployment(tmp_path):
    url = f"sqlite:///{tmp_path}/umbel.sqlite3"
    made = Deployment(tmp_path, url, url)
    yield made
    made.end()


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_json_logs_are_one_object_a_line_with_the_facts_of_the_task(deployment):
    node = deployment.start("-c", "1", "--log-format", "json")
    result = deployment.app().send_task("fail", args=("no stamp",))
    await_true(lambda: "no stamp" in node.log, 10)
    node.signal(signal.SIGTERM)
    assert node.wait() == 0

    lines = lines_of(deployment.folder / "node0.log")
    keys = ["timestamp", "level", "logger", "process", "message", "task_id", "task_name"]
    assert all(list(line)[:8] == [*keys, "exception"] for line in lines)
    failed = next(line for line in lines if line["level"] == "ERROR")
    assert (failed["task_id"], failed["task_name"]) == (result.id, "fail")
    assert failed["process"] == "Worker-1"
    assert failed["data"]["error"] == "ValueError('no stamp')"


def test_each_process_writes_the_file_that_its_number_names(deployment, tmp_path):
    deployment.start("-c", "2", "--logfile", f"{tmp_path}/%n-%h%I.txt", name="files")
    deployment.app().send_task("fail", args=("here",)).get(timeout=10, propagate=False)
    children = [tmp_path / f"files-test-{number}.txt" for number in (1, 2)]
    await_true(lambda: any("here" in path.read_text() for path in children), 5)

    assert "files@test ready." in (tmp_path / "files-test.txt").read_text()
    assert "here" not in (tmp_path / "files-test.txt").read_text()


def test_a_log_file_has_no_colours_and_neither_has_a_pipe(deployment):
    node = deployment.start("-P", "solo")
    deployment.app().send_task("fail", args=("plain",)).get(timeout=10, propagate=False)
    await_true(lambda: "plain" in node.log, 5)

    assert "\033" not in node.log


def test_a_pidfile_refuses_a_second_worker_and_is_removed_at_the_end(deployment, tmp_path):
    path = tmp_path / "node0.pid"
    path.write_text("999999999\n")  # of a worker that is gone
    node = deployment.start("-c", "1", "--pidfile", f"{tmp_path}/%n.pid")
    assert path.read_text() == f"{node.pid}\n"

    second = deployment.run("worker", "-P", "solo", "--pidfile", str(path))
    assert second.returncode == 73
    assert str(node.pid) in second.stderr
    node.signal(signal.SIGTERM)
    assert node.wait() == 0
    assert not path.exists()


def test_a_detached_worker_works_without_a_terminal_until_it_is_told_to_stop(deployment, tmp_path):
    pid, log = tmp_path / "w.pid", tmp_path / "w.log"
    done = deployment.run(
        "worker", "-P", "solo", "-l", "INFO", "-D", "--pidfile", str(pid), "--logfile", str(log),
        "--umask", "077",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    process = psutil.Process(int(pid.read_text()))
    try:
        assert deployment.app().send_task("add", args=(1, 2)).get(timeout=10) == 3
        assert process.terminal() is None
        assert os.getsid(process.pid) != os.getsid(0)
        assert log.stat().st_mode & 0o077 == 0
    finally:
        process.terminate()
        process.wait(15)
    assert not pid.exists()
    assert "succeeded" in log.read_text()


def test_a_detached_worker_that_cannot_start_says_so_to_who_started_it(deployment, tmp_path):
    (tmp_path / "w.pid").write_text(str(os.getpid()))
    done = deployment.run("worker", "-P", "solo", "-D", "--pidfile", str(tmp_path / "w.pid"))

    assert done.returncode == 73
    assert "is running" in done.stderr


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [("--uid", "nobody-of-this-name", "no user"), ("--gid", "no-such-group", "no group")],
)
def test_a_user_or_group_that_does_not_exist_is_refused(deployment, option, value, said):
    done = deployment.run("worker", option, value)

    assert done.returncode == 2
    assert said in done.stderr


def test_another_user_is_refused_without_the_right():
    program = (
        "import click, os, pwd; from umbel.cli.daemon import drop_rights\n"
        "if os.getuid() == 0: os.setuid(pwd.getpwnam('nobody').pw_uid)\n"
        "drop_rights(str(os.getuid()), None)\n"
        "try: drop_rights('root', None)\n"
        "except click.UsageError as error: print(error.message)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip

    assert done.stdout.startswith("--uid 0 needs root")


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become another user")
def test_root_becomes_the_user_for_good():
    program = (
        "import os; from umbel.cli.daemon import drop_rights; drop_rights('nobody', None); "
        "print(os.getresuid(), os.getgid())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )

    entry = pwd.getpwnam("nobody")
    assert done.stdout == f"{(entry.pw_uid,) * 3} {entry.pw_gid}\n"


def test_logging_that_a_django_project_set_up_stays_as_it_is(deployment):
    """Lines of the worker look like those of the web process, and nothing stands before them."""
    node = deployment.start("-c", "1", app="tests.apps.django_logging")
    handlers = deployment.app().send_task("ship", args=("7",)).get(timeout=10)
    await_true(lambda: "succeeded" in node.log, 10)

    assert handlers == [["StreamHandler", "Lines"]]
    banner, *logged = node.log.partition("{")
    lines = [json.loads(line) for line in "".join(logged).splitlines()]
    assert "ERROR" not in banner
    assert {"from": "shop.orders", "said": "shipped 7"} in lines
    assert {line["from"] for line in lines} >= {"umbel.worker", "umbel.task.trace"}
    assert all(list(line) == ["from", "said"] for line in lines)
