"""Pains 16, 19, 24 and 29: what the caller is told, memory, and moments without a zone."""
# ruff: noqa: INP001, S603, T201 - a naive moment is the point; scripts that print

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from typing import Any

from celery.result import AsyncResult
from lab import HERE, REPOSITORY, Lab, resident, wait_for


def pain_16() -> None:
    with Lab({"task_acks_late": True}) as lab:
        folder = str(REPOSITORY)
        worker = lab.worker("one", "-c", "1", LAB_NASTY=folder)
        names, expected = nasty_names(lab, folder)
        before = worker.children()
        told: Counter[str] = Counter()
        for name in names:
            result = lab.client.send_task("raise_nasty", args=(name,))
            outcome = judge(result, expected.get(name, name))
            told[outcome] += 1
            if outcome != "FAILURE, same name":
                print(f"    {name}: {outcome}")
        same = "the same" if worker.children() == before else "not the same"
        alive = "lives" if worker.alive else "is dead"
        print(f"{len(names)} exceptions: {dict(told)}; worker {alive}, its children are {same}")


def nasty_names(lab: Lab, folder: str) -> tuple[list[str], dict[str, str]]:
    """The makers, and the class names that differ from theirs."""
    code = "import json, tasks, tests.apps.nasty as n; print(json.dumps([list(n.MAKERS), n.NAMES]))"
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=HERE, env=lab.environment(LAB_NASTY=folder), check=True,
        capture_output=True, text=True,
    ).stdout  # fmt: skip
    names, expected = json.loads(out)
    return names, expected


def judge(result: AsyncResult, expected: str) -> str:
    if not wait_for(lambda: state_of(result) not in ("PENDING", "STARTED"), 8):
        return "no result within 8 s"
    state = state_of(result)
    if state != "FAILURE":
        return state
    try:
        found = type(result.result).__name__
    except Exception as error:  # noqa: BLE001 - which one it is, is the question
        return f"FAILURE, reading it raises {type(error).__name__}"
    return "FAILURE, same name" if found == expected else f"FAILURE, but the caller gets {found}"


def state_of(result: AsyncResult) -> str:
    try:
        return result.state
    except Exception as error:  # noqa: BLE001 - which one it is, is the question
        return f"reading the state raises {type(error).__name__}"


def pain_19() -> None:
    with Lab() as lab:
        subscriptions(lab)
    with Lab() as lab:
        soak(lab)


def subscriptions(lab: Lab, count: int = 20_000) -> None:
    before = resident([os.getpid()])
    kept = [lab.client.send_task("add", args=(n, n)) for n in range(count)]
    channels = len(lab.redis.pubsub_channels())
    grown = resident([os.getpid()]) - before
    print(f"{len(kept)} results kept, none read: {channels} subscriptions, client {grown:+.1f} MB")
    del kept
    time.sleep(1)
    print(f"    when they were let go: {len(lab.redis.pubsub_channels())} subscriptions")


def soak(lab: Lab, steps: int = 18, step: int = 5000) -> None:
    worker = lab.worker("one", "-c", "2", "-l", "CRITICAL", ready=False)
    send_and_wait(lab, 10_000)
    children, found = worker.children(), [memory(worker)]
    for _ in range(steps):
        send_and_wait(lab, step)
        found.append(memory(worker))
    assert worker.children() == children
    print(f"MB (parent, children) after 10,000 tasks and after each {step} more: {found}")


def memory(worker: Any) -> tuple[float, float]:
    return round(resident([worker.process.pid]), 2), round(resident(worker.children()), 2)


def send_and_wait(lab: Lab, count: int) -> None:
    for n in range(count):
        if n % 10:
            lab.client.send_task("noop", args=(n, "an argument"), ignore_result=True)
        else:
            lab.client.send_task("fail", args=(f"number {n}",))
    empty = lambda: lab.redis.llen("celery") + lab.redis.hlen("unacked") == 0  # noqa: E731
    assert wait_for(empty, 120)
    time.sleep(0.5)


CLIENT = """
import sys
from datetime import datetime, timedelta
from celery import Celery
app = Celery(broker=sys.argv[1])
eta = datetime.now() + timedelta(seconds=3)
if "aware" in sys.argv[2]:
    eta = eta.astimezone()
app.send_task("work", args=(sys.argv[2],), eta=eta)
print(eta.timestamp())
"""
ZONES = [
    "UTC",
    "Asia/Shanghai",
    "Asia/Shanghai:aware",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
]


def pain_24() -> None:
    with Lab() as lab:
        lab.worker("one", "-c", "2")
        due = {}
        for zone in ZONES:
            url = f"redis://127.0.0.1:{lab.port}/0"
            command = [sys.executable, "-c", CLIENT, url, zone]
            environment = lab.environment(TZ=zone.removesuffix(":aware"))
            due[zone] = float(subprocess.check_output(command, env=environment))
        time.sleep(8)
        [held] = lab.client.control.inspect(timeout=3).scheduled().values()
        planned = {one["request"]["args"][0]: one["eta"] for one in held}
        print(f"now it is {time.strftime('%H:%M:%S', time.gmtime())} UTC")
        for zone in ZONES:
            starts = [run[0] for run in lab.runs() if run[2:] == ("start", zone)]
            ran = f"started {starts[0] - due[zone]:+.1f} s from its moment" if starts else "waits"
            print(f"{zone}: {ran} {planned.get(zone, '')}")


def pain_29() -> None:
    with Lab({"result_expires": 2}) as lab:
        expired = lab.client.send_task("work", args=("e",), expires=0.05)
        time.sleep(0.5)
        first = lab.worker("first", "-c", "1")
        gone = lab.client.send_task("add", args=(1, 1))
        gone.get(timeout=10)
        told("expired before it ran", expired)
        time.sleep(3)
        first.stop()
        purged = lab.client.send_task("work", args=("p",))
        lab.client.control.purge()
        told("never published", lab.client.AsyncResult("never-sent"))
        told("published, waiting", lab.client.send_task("work", args=("w",)))
        told("purged", purged)
        told("its result expired", lab.make_client().AsyncResult(gone.id))


def told(what: str, result: AsyncResult) -> None:
    began = time.monotonic()
    try:
        answer = repr(result.get(timeout=5))
    except Exception as error:  # noqa: BLE001 - which one it is, is the question
        answer = type(error).__name__
    took = time.monotonic() - began
    print(
        f"{what}: state {result.state}, exists() {result.exists()}, get(timeout=5): {answer} after {took:.1f} s"
    )
