"""``umbel multi``: several workers of one machine, from their start to their end."""

from pathlib import Path

import pytest
from tests.deployment import Deployment, await_true

from umbel.cli.pidfile import is_alive, read_pid


@pytest.fixture
def multi(tmp_path):
    """``multi(*words)``: one command, with pidfiles and logs in the test's folder."""
    url = f"sqlite:///{tmp_path}/umbel.sqlite3"
    deployment = Deployment(tmp_path, url, url)
    files = (f"--pidfile={tmp_path}/%n.pid", f"--logfile={tmp_path}/%n.log")

    def run(*words):
        return deployment.run("multi", *words, *files)

    run.deployment = deployment
    yield run
    run("kill", "a", "b", "c")
    run("kill", "2")
    for path in tmp_path.glob("*.pid"):
        pid = read_pid(path)
        await_true(lambda pid=pid: pid is None or not is_alive(pid), 10, "it is gone")


def pid_of(folder: Path, name: str) -> int | None:
    return read_pid(folder / f"{name}.pid")


def test_nodes_are_started_answer_are_restarted_and_stopped(multi, tmp_path):
    started = multi("start", "2", "-P", "solo", "-l", "INFO", "-Q:2", "other,celery")
    assert started.returncode == 0, started.stderr + started.stdout
    first, second = (pid_of(tmp_path, f"celery{number}") for number in (1, 2))
    assert is_alive(first)
    assert is_alive(second)
    app = multi.deployment.app()
    assert app.send_task("add", args=(1, 2), queue="other").get(timeout=10) == 3

    assert multi("start", "1", "-P", "solo").returncode == 1  # it is running already
    again = multi("restart", "2", "-P", "solo")
    assert again.returncode == 0, again.stderr + again.stdout
    assert not is_alive(first)
    assert pid_of(tmp_path, "celery1") not in (None, first)
    renewed = pid_of(tmp_path, "celery1")
    for slip in (("-l", "INFOO"), ("-A", "nowhere_to_be_found")):
        refused = multi("restart", "2", *slip)
        assert (refused.returncode in (1, 2), refused.stdout) == (True, "")
        assert slip[1] in refused.stderr
    assert is_alive(renewed)  # nothing is stopped that could not be started
    stopped = multi("stopwait", "2")
    assert stopped.returncode == 0
    assert stopped.stdout.count("gone") == 2
    assert list(tmp_path.glob("*.pid")) == []


def test_each_node_gets_the_options_that_are_for_it(multi):
    shown = multi("show", "a", "b", "c@example", "-c:1-2", "3", "--queues:c=x", "-l", "INFO")
    lines = shown.stdout.splitlines()

    assert ["-c 3" in line for line in lines] == [True, True, False]
    assert ["--queues x" in line for line in lines] == [False, False, True]
    assert all("worker --detach -n " in line and "-l INFO" in line for line in lines)
    assert "-n c@example" in lines[2]
    assert all("-A tests.apps.marks" in line for line in lines)


def test_names_are_printed(multi):
    host = multi("names", "2", "--range-prefix", "w").stdout.split()

    assert [name.partition("@")[0] for name in host] == ["w1", "w2"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("start",), "how many nodes"),
        (("begin", "2"), "no command 'begin'"),
        (("show", "2", "-c:3", "4"), "no node 3"),
        (("show", "a", "--queus", "x"), "did you mean '--queues'"),
        (("show", "a", "a"), "named twice"),
        (("show", "a", "-c"), "needs a value"),
    ],
)
def test_what_cannot_be_meant_is_refused(multi, words, said):
    done = multi.deployment.run("multi", *words)

    assert done.returncode == 2
    assert said in done.stderr


def test_the_directory_of_the_command_line_is_that_of_the_workers(multi, tmp_path):
    inside = ("--workdir", str(tmp_path), "multi")
    started = multi.deployment.run(*inside, "start", "1", "-P", "solo")
    assert started.returncode == 0, started.stderr
    assert is_alive(pid_of(tmp_path, "celery1"))  # %n.pid, in that directory
    assert "gone" in multi.deployment.run(*inside, "stopwait", "1").stdout


def test_a_node_that_does_not_run_is_not_stopped(multi):
    assert "is not running" in multi("stop", "a").stdout
