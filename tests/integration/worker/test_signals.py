"""What a real worker tells its project by signals, with the arguments of Celery 5.7."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from tests.deployment import ROOT, await_true


class Telling:
    """A worker of ``tests.apps.telling``, calls of its tasks, and what was told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {
            **os.environ,
            "TELLING_FOLDER": str(folder),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
        }

    def run(self, program: str) -> str:
        """A client of its own."""
        done = subprocess.run(
            [sys.executable, "-c", f"from tests.apps.telling import *\n{program}"],
            env=self.env, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / "worker.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "umbel", "-A", "tests.apps.telling", "worker", *arguments],
                env=self.env, cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip

    def lines(self) -> list[dict]:
        path = self.folder / "told.jsonl"
        if not path.exists():
            return []
        text = path.read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def told(self) -> dict[str, list[dict]]:
        found = defaultdict(list)
        for line in self.lines():
            found[line["signal"]].append(line)
        return found


@pytest.fixture
def telling(tmp_path):
    made = Telling(tmp_path)
    processes = []
    start = made.start

    def started(*arguments):
        processes.append(start(*arguments))
        return processes[-1]

    made.start = started
    yield made
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGQUIT)
            process.wait(20)


CALLS = """
from umbel.exceptions import Ignore
print(add.delay(2, 3).id)
print(traced.delay(2, y=3).id)
print(fail.delay("x").id)
print(again.delay().id)
print(ignore.delay().id)
print(add.apply_async((1, 1), expires=-1).id)
print(app.send_task("telling.nowhere").id)
many = add.delay_many([(1, 2), (3, 4)])
"""


def worked(telling: Telling, *arguments: str) -> tuple[list[str], dict[str, list[dict]]]:
    """Ids of the calls, and what was told until the worker had ended."""
    ids = telling.run(CALLS).split()
    process = telling.start("-n", "teller@test", *arguments)
    await_true(lambda: len(telling.told()["task_postrun"]) >= 8, 20, "all have run")
    await_true(lambda: telling.told()["worker_ready"], 10, "the worker is ready")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0, (telling.folder / "worker.log").read_text()
    return ids, telling.told()


def of(told: list[dict], task_id: str) -> dict:
    [one] = [line for line in told if line["named"].get("task_id") == task_id]
    return one


@pytest.fixture
def prefork(telling):
    return worked(telling, "-c", "1")


def test_sending_is_told_of_single_calls_of_many_at_once_and_of_retries(prefork):
    ids, told = prefork
    added, traced, again = ids[0], ids[1], ids[3]

    before, after = told["before_task_publish"], told["after_task_publish"]
    assert len(before) == len(after) == 10
    one = before[0]
    assert one["sender"] == "telling.add"
    assert set(one["named"]) == {
        "body", "exchange", "routing_key", "headers", "properties", "declare", "retry_policy",
    }  # fmt: skip
    assert one["named"]["body"][:2] == [[2, 3], {}]
    assert set(one["named"]["body"][2]) == {"callbacks", "errbacks", "chain", "chord"}
    assert (one["named"]["exchange"], one["named"]["routing_key"]) == ("", "celery")
    assert one["named"]["headers"]["id"] == added
    assert one["named"]["properties"]["correlation_id"] == added
    assert one["named"]["retry_policy"]["max_retries"] == 3
    assert set(after[0]["named"]) == {"body", "exchange", "routing_key", "headers"}
    assert after[0]["named"]["headers"]["id"] == added
    assert [line["named"]["task_id"] for line in told["task_sent"][:2]] == [added, traced]
    assert [line["named"]["headers"]["retries"] for line in after if
            line["named"]["headers"]["id"] == again] == [0, 1]  # fmt: skip


def test_a_worker_tells_how_tasks_run(prefork):
    ids, told = prefork
    added, _traced, failed, again, ignored, _expired, _unknown = ids
    received = {line["named"]["request"]["id"]: line for line in told["task_received"]}
    assert received[added]["named"]["request"]["name"] == "telling.add"
    started = of(told["task_prerun"], added)
    assert started["sender"]["name"] == started["named"]["task"]["name"] == "telling.add"
    assert started["named"] | {"task": None} == {
        "task_id": added, "task": None, "args": [2, 3], "kwargs": {},
    }  # fmt: skip
    assert started["request"] == added
    ended = of(told["task_postrun"], added)["named"]
    assert (ended["retval"], ended["state"], ended["args"]) == (5, "SUCCESS", [2, 3])
    results = [line["named"]["result"] for line in told["task_success"]]
    assert 5 in results
    assert ["abc", "kept", 6] in results
    assert all(line["named"]["runtime"] >= 0 for line in told["task_success"])

    [failure] = told["task_failure"]
    assert failure["sender"]["name"] == "telling.fail"
    assert failure["named"]["task_id"] == failure["request"] == failed
    assert failure["named"]["exception"]["type"] == "KeyError"
    assert failure["named"]["traceback"]["type"] == "traceback"
    assert "KeyError: 'x'" in failure["named"]["einfo"]["text"]
    assert set(failure["named"]) == {
        "task_id", "exception", "args", "kwargs", "traceback", "einfo",
    }  # fmt: skip
    assert of(told["task_postrun"], failed)["named"]["retval"]["type"] == "KeyError"

    [retry] = told["task_retry"]
    assert set(retry["named"]) == {"request", "reason", "einfo"}
    assert retry["named"]["request"]["id"] == again
    assert retry["named"]["reason"]["type"] == "Retry"
    assert "OSError: busy" in retry["named"]["einfo"]["text"]
    states = [line["named"]["state"] for line in told["task_postrun"] if
              line["named"]["task_id"] == again]  # fmt: skip
    assert states == ["RETRY", "SUCCESS"]
    assert of(told["task_postrun"], ignored)["named"]["state"] == "IGNORED"


def test_what_does_not_run_is_told_with_the_reason(prefork):
    ids, told = prefork
    expired, unknown = ids[5:]
    [revoked] = told["task_revoked"]
    assert revoked["named"]["request"]["id"] == expired
    assert {**revoked["named"], "request": None} == {
        "request": None, "terminated": False, "signum": None, "expired": True,
    }  # fmt: skip
    [nowhere] = told["task_unknown"]
    assert (nowhere["named"]["name"], nowhere["named"]["id"]) == ("telling.nowhere", unknown)
    assert nowhere["named"]["exc"]["type"] == "NotRegistered"
    assert expired not in {line["named"]["task_id"] for line in told["task_prerun"]}


LIFE = [
    "celeryd_init", "worker_init", "worker_before_create_process", "worker_ready",
    "worker_shutting_down", "worker_shutdown",
]  # fmt: skip


def test_the_life_of_a_worker_is_told_in_order(telling, prefork):
    _ids, told = prefork

    order = [line["signal"] for line in telling.lines() if line["signal"] in LIFE]
    assert order == LIFE

    workers = told["worker_init"] + told["worker_ready"]
    assert [line["sender"]["type"] for line in workers] == ["Worker", "Worker"]
    [begin] = told["celeryd_init"]
    assert begin["sender"] == "teller@test"
    assert set(begin["named"]) == {"instance", "conf", "options"}
    [setup] = told["celeryd_after_setup"]
    assert (setup["sender"], set(setup["named"])) == ("teller@test", {"instance", "conf"})
    [process] = told["worker_process_init"]
    assert (process["sender"], process["main"]) == ("teller@test", False)
    [shutdown] = told["worker_process_shutdown"]
    assert shutdown["named"]["exitcode"] == 0
    assert not shutdown["main"]
    [stopping] = told["worker_shutting_down"]
    assert stopping["sender"] == "teller@test"
    assert stopping["named"] == {"sig": "SIGTERM", "how": "Warm", "exitcode": 0}
    for name in LIFE:
        assert [line["main"] for line in told[name]] == [True], name
    assert told["heartbeat_sent"]
    [root] = told["after_setup_logger"]
    assert {"logger", "loglevel", "logfile", "format", "colorize"} == set(root["named"])
    assert told["after_setup_task_logger"][0]["named"]["logger"]["name"] == "umbel.task"
    assert [line["sender"]["type"] for line in told["import_modules"]] == ["Umbel"]
    for name in ("app.on_configure", "app.on_after_configure", "app.on_after_finalize"):
        assert len(told[name]) == 2, name  # the client and the worker
    assert len(told["app.on_after_fork"]) == 1


def test_a_receiver_that_raises_is_logged_and_the_task_runs(telling, prefork):
    assert "a receiver that raises" in (telling.folder / "worker.log").read_text()


def test_a_solo_worker_tells_the_same_of_its_tasks(telling):
    ids, told = worked(telling, "-P", "solo")

    assert of(told["task_postrun"], ids[0])["named"]["retval"] == 5
    assert [line["main"] for line in told["worker_process_init"]] == [True]
    assert [line["sender"]["type"] for line in told["worker_shutdown"]] == ["Worker"]


def test_the_supervisor_tells_of_a_task_past_its_hard_time_limit(telling):
    task_id = telling.run("print(slow.delay(30).id)")
    telling.start("-c", "1")

    [failure] = await_true(lambda: telling.told()["task_failure"], 20, "it was ended")

    assert failure["main"]
    assert failure["sender"]["name"] == "telling.slow"
    assert failure["named"]["task_id"] == failure["request"] == task_id
    assert failure["named"]["exception"]["type"] == "TimeLimitExceeded"
    assert failure["named"]["args"] == [30]
