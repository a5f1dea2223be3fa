"""Three workers, struck at random for a minute, while a client sends: nothing is lost, and nothing
is repeated or overwritten without cause (pains 3, 12 and 15)."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.chaos.conftest import QUICK
from tests.chaos.fleet import Fleet
from tests.deployment import ROOT, Deployment, await_true, deployment

from umbel.exceptions import OperationalError

SECONDS, PER_SECOND = 60.0, 20


class Watcher(threading.Thread):
    """Writes down each result as it is when it is first seen."""

    def __init__(self, made: Deployment, ledger: Path) -> None:
        super().__init__(daemon=True)
        self.app = made.app()
        self.ledger = ledger
        self.first: dict[str, tuple[str, object]] = {}
        self.end = threading.Event()

    def missing(self) -> list[str]:
        if not self.ledger.exists():
            return []
        return [one for one in self.ledger.read_text().split() if one not in self.first]

    def run(self) -> None:
        while not self.end.wait(0.2):
            for task_id in self.missing():
                try:
                    record = self.app.backend.load(task_id)
                except OperationalError:
                    break
                if record is not None and record.status in ("SUCCESS", "FAILURE"):
                    self.first[task_id] = (record.status, record.result)


@pytest.mark.timeout(240)
def test_whatever_happens_to_workers_every_acknowledged_send_runs(
    new_store, tmp_path, chance, figure
):
    url = new_store()
    ledger = tmp_path / "ledger"
    # So many deliveries are allowed that nothing becomes a dead letter: that has tests of its own.
    with deployment(tmp_path, url, url, **QUICK, task_max_deliveries=1000) as made:
        fleet = Fleet(made, 3, chance)
        watcher = Watcher(made, ledger)
        watcher.start()
        producer = start_producer(made, ledger, chance)
        try:
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                time.sleep(chance.uniform(0.2, 1.2))
                fleet.strike()
        finally:
            fleet.heal()
            producer.wait(20)
        await_true(lambda: not watcher.missing(), 40, "every acknowledged send has a result")
        await_true(lambda: settled(made), 10, "every loan ended")
        watcher.end.set()
        watcher.join()
        judge(made, fleet, watcher, figure)


def start_producer(
    made: Deployment, ledger: Path, chance: random.Random
) -> subprocess.Popen[bytes]:
    arguments = (str(ledger), str(SECONDS), str(PER_SECOND), str(chance.random()))
    with (made.folder / "producer.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.producer", *arguments],
            env=made.env, cwd=ROOT, stderr=log,
        )  # fmt: skip


def settled(made: Deployment) -> bool:
    queues = made.app().broker.admin.queues(["celery"])
    return all(queue.ready + queue.lent + queue.delayed == 0 for queue in queues)


def judge(made: Deployment, fleet: Fleet, watcher: Watcher, figure) -> None:
    sent = watcher.ledger.read_text().split()
    runs = runs_of(made)
    assert not set(sent) - ended(made), "an acknowledged send did not run"

    repeated = [one for one in runs.values() if len(one) > 1]
    for several in repeated:
        without_cause = [one for one in several if not fleet.excused(*one)]
        assert len(without_cause) <= 1, f"ran again without a fault: {several}\n{fleet.faults}"

    app = made.app()
    for task_id, (status, value) in watcher.first.items():
        assert status == "SUCCESS", value
        record = app.backend.load(task_id)
        assert (record.status, record.result) == (status, value), "a result was overwritten"

    faults = Counter(fault.what for fault in fleet.faults)
    refused = sum(node.log.count("its outcome was not stored") for node in made.nodes)
    figure(
        f"{len(sent)} sent, 0 lost, {len(repeated)} run again, 0 overwritten "
        f"({refused} outcomes refused); faults: {dict(faults)}, orphans: {fleet.orphans}"
    )
    assert len(fleet.faults) > 10


def ended(made: Deployment) -> set[str]:
    return {line[4] for line in made.runs.lines() if line[2] == "end"}


def runs_of(made: Deployment) -> dict[str, list[tuple[int, float, float]]]:
    """Task id -> (pid, start, end or infinity) of each of its runs."""
    runs: dict[str, list[tuple[int, float, float]]] = {}
    for moment, pid, what, _tag, task_id in made.runs.lines():
        of_task = runs.setdefault(task_id, [])
        if what == "start":
            of_task.append((pid, moment, float("inf")))
        else:
            at = max(n for n, one in enumerate(of_task) if one[0] == pid)
            of_task[at] = (pid, of_task[at][1], moment)
    return runs
