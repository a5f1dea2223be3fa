"""Pains 9, 15, 17, 22, 23, 41, 42 and 45: who runs what, when, and who may stop it."""
# ruff: noqa: INP001, PLR2004, S311, T201 - scripts that print what they saw; chance, not secrets

from __future__ import annotations

import json
import os
import random
import re
import signal
import time
from collections import Counter
from itertools import pairwise
from typing import Any

from lab import CAREFUL, Lab, Worker, wait_for


def pain_9() -> None:
    with Lab() as lab:
        first = lab.worker("first", "-c", "2")
        results = [lab.client.send_task("work", args=(n,), countdown=12) for n in range(100)]
        wait_for(lambda: lab.redis.hlen("unacked") == 100, 10)
        lab.client.control.revoke([result.id for result in results])
        time.sleep(2)
        first.stop()
        lab.worker("second", "-c", "2")
        wait_for(lambda: len(lab.count("start")) == 100, 25)
        states = dict(Counter(result.state for result in results))
        print(f"100 revoked, then a new worker: {len(lab.count('start'))} ran; {states}")
    for pool in ("prefork", "threads", "solo"):
        with Lab() as lab:
            lab.worker("one", "-P", pool, "-c", "1")
            result = lab.client.send_task("work", args=("running", 10))
            wait_for(lambda lab=lab: lab.count("start"), 10)
            lab.client.control.revoke(result.id, terminate=True)
            began = time.monotonic()
            wait_for(result.ready, 15)
            took = time.monotonic() - began
            ended = "to its end" if lab.count("end") else "not to its end"
            print(f"terminate, {pool}: {result.state} after {took:.1f} s; it ran {ended}")


def pain_15() -> None:
    for title, settings in (("defaults", {}), ("careful", CAREFUL)):
        with Lab(settings) as lab:
            killed(title, lab)


def killed(title: str, lab: Lab, seconds: float = 60, count: int = 1100) -> None:
    """A child is killed five times a second; when that is over, 20 s for what is left."""
    chance = random.Random(15)
    results = [lab.client.send_task("work", args=(n, chance.uniform(0, 0.5))) for n in range(count)]
    worker = lab.worker("one", "-c", "4", "--max-tasks-per-child", "5")
    began, kills = time.time(), 0
    while time.time() - began < seconds and worker.alive:
        time.sleep(0.2)
        children = worker.children()
        if children:
            os.kill(chance.choice(children), signal.SIGKILL)
            kills += 1
    wait_for(lambda: len(lab.count("end")) == count, 20)
    ends = [run[0] - began for run in lab.runs() if run[2] == "end"]
    pace = [sum(part * 15 <= end < (part + 1) * 15 for end in ends) for part in range(4)]
    states = dict(Counter(result.state for result in results))
    alive = "lives" if worker.alive else "is dead"
    print(f"{title}: {kills} kills; done in each 15 s {pace}; worker {alive}; {states}")
    print(f"    {lab.report(count)}")


#: Task, and what keeps it from being interrupted.
BLOCKS = {"sleep": "work", "busy loop": "spin", "socket": "receive"}


def pain_17() -> None:
    for pool in ("prefork", "threads", "solo"):
        for kind, name in BLOCKS.items():
            for limit in ("soft_time_limit", "time_limit"):
                with Lab() as lab:
                    lab.worker("one", "-P", pool, "-c", "2")
                    arguments = ("tag", 6) if name == "work" else (6,)
                    began = time.monotonic()
                    result = lab.client.send_task(name, args=arguments, **{limit: 1})
                    wait_for(result.ready, 10)
                    took = time.monotonic() - began
                    print(f"{pool}, {kind}, {limit} 1 s of 6: {result.state} after {took:.1f} s")


def pain_22() -> None:
    settings = {"broker_transport_options": {"queue_order_strategy": "priority"}}
    for title, more in (("defaults", {}), ("careful", CAREFUL)):
        with Lab({**settings, **more}) as lab:
            lab.worker("one", "-c", "1")
            for n in range(6):
                lab.client.send_task("work", args=(f"low{n}", 0.5), priority=9)
            wait_for(lambda lab=lab: lab.count("start"), 10)
            time.sleep(0.3)
            lab.client.send_task("work", args=("high", 0.0), priority=0)
            wait_for(lambda lab=lab: len(lab.count("end")) == 7, 20)
            order = [run[3] for run in lab.runs() if run[2] == "start"]
            print(f"{title}: the urgent one ran as number {order.index('high') + 1} of 7")


def pain_23() -> None:
    for title, settings in (("defaults", {}), ("careful", CAREFUL)):
        with Lab(settings) as lab:
            for name in ("one", "two"):
                lab.worker(name, "-c", "1")
            lab.client.send_task("work", args=("long", 30))
            for n in range(7):
                lab.client.send_task("work", args=(f"short{n}", 0.01))
            began = time.monotonic()
            done = wait_for(lambda lab=lab: len(lab.count("end").keys() - {"long"}) == 7, 45)
            took = time.monotonic() - began
            print(f"{title}: seven short ones {'done' if done else 'NOT done'} after {took:.1f} s")


def pain_41() -> None:
    for title, settings in (("defaults", {}), ("no hijack", {"worker_hijack_root_logger": False})):
        with Lab(settings) as lab:
            worker = lab.worker("one", "-c", "1", ready=False, LAB_LOGGING="1")
            result = lab.client.send_task("add", args=(1, 1))
            wait_for(result.ready, 20)
            time.sleep(0.5)
            lines = [line for line in worker.log.splitlines() if re.search(r"Task|ready", line)]
            ours = sum(is_json(line) for line in lines)
            print(f"{title}: {ours} of {len(lines)} lines about work are in the project's format")
            for line in lines:
                print("   ", line)


def is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def pain_42() -> None:
    with Lab() as lab:
        first = lab.worker("first", "-c", "1")
        lab.client.control.cancel_consumer("celery", reply=True)
        for n in range(100):
            lab.client.send_task("work", args=(n,))
        time.sleep(2)
        print(f"cancel_consumer, then 100 sent: {len(lab.count('start'))} ran")
        first.stop()
        lab.worker("second", "-c", "1")
        time.sleep(5)
        print(f"    after the worker was replaced: {len(lab.count('start'))} ran")


def pain_45() -> None:
    """Two waves of work with a pause between them."""
    with Lab() as lab:
        worker = lab.worker("one", "--autoscale", "10,2")
        seen: list[tuple[float, int]] = []
        began = time.monotonic()
        for wave in range(2):
            wave_began = time.monotonic()
            results = [lab.client.send_task("work", args=(f"{wave}-{n}", 0.5)) for n in range(300)]
            most = watch(worker, seen, began, 10, 30)
            wait_for(lambda results=results: all(one.ready() for one in results), 60)
            done = time.monotonic()
            least = watch(worker, seen, began, 2, 90)
            states = dict(Counter(result.state for result in results))
            print(
                f"wave {wave}: 10 processes after {told(most, wave_began)}, work done after "
                f"{done - wave_began:.1f} s, 2 processes after another {told(least, done)}; {states}"
            )
        print("   ", [one for one, two in pairwise([*seen, (0.0, 0)]) if one[1] != two[1]])


def watch(
    worker: Worker, seen: list[tuple[float, int]], began: float, wanted: int, within: float
) -> float | None:
    """The moment at which it has so many processes."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        now, count = time.monotonic(), len(worker.children())
        seen.append((round(now - began, 1), count))
        if count == wanted:
            return now
        time.sleep(0.1)
    return None


def told(moment: Any, since: float) -> str:
    return "never" if moment is None else f"{moment - since:.1f} s"
