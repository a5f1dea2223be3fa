"""Pains 1 to 4, 10 and 11: work that is repeated, lost or thrown away."""
# ruff: noqa: INP001, PLR2004, T201 - scripts that print what they saw

from __future__ import annotations

import json
import signal
import threading
import time
from collections import Counter
from statistics import quantiles
from typing import Any

from lab import CAREFUL, Lab, resident, wait_for
from tests.integration.redis.proxy import proxy_to

QUICK_SWEEP = {
    "broker_transport_options": {
        "visibility_timeout": 5,
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
    }
}


def pain_1() -> None:
    repeat("visibility_timeout 5, swept each second", QUICK_SWEEP, seconds=20, wait=60)
    own_pace = {"broker_transport_options": {"visibility_timeout": 10}}
    repeat("visibility_timeout 10, swept at its own pace", own_pace, seconds=120, wait=170)


def repeat(title: str, settings: dict[str, Any], seconds: float, wait: float) -> None:
    with Lab(settings) as lab:
        for name in ("a", "b"):
            lab.worker(name, "-c", "2")
        lab.client.send_task("work", args=("delayed",), countdown=seconds)
        lab.client.send_task("late", args=("long", seconds))
        time.sleep(wait)
        print(
            f"{title}: countdown {seconds:.0f} s and acks_late task of {seconds:.0f} s, after "
            f"{wait:.0f} s: starts {dict(lab.count('start'))}, ends {dict(lab.count('end'))}"
        )


def pain_2() -> None:
    for title, settings in (("defaults", {}), ("eta limit 100", {"worker_eta_task_limit": 100})):
        with Lab(settings) as lab:
            hoard(title, lab)
    for title, settings in (("defaults", {}), ("eta limit 100", {"worker_eta_task_limit": 100})):
        with Lab(settings) as lab:
            share(title, lab)
    with Lab() as lab:
        lose_delayed(lab)


def hoard(title: str, lab: Lab, count: int = 20_000) -> None:
    workers = [lab.worker(name, "-c", "2", "-l", "ERROR", ready=False) for name in ("a", "b")]
    assert lab.client.send_task("add", args=(1, 1)).get(timeout=30) == 2
    before = [resident([worker.process.pid]) for worker in workers]
    for _ in range(count):
        lab.client.send_task("noop", countdown=3600, ignore_result=True)
    time.sleep(15)
    after = [resident([worker.process.pid]) for worker in workers]
    growth = [f"{new - old:+.1f}" for new, old in zip(after, before, strict=True)]
    began = time.monotonic()
    result = lab.client.send_task("add", args=(2, 2))
    done = "done" if wait_for(result.ready, 15) else "NOT done"
    print(
        f"{title}: {count} for in an hour: {lab.waiting()}; MB of the parents {growth}; then a task "
        f"for now: {done} after {time.monotonic() - began:.1f} s"
    )


def share(title: str, lab: Lab, count: int = 2000, later: float = 10) -> None:
    for number in range(4):
        lab.worker(f"w{number}", "-c", "1", "-l", "ERROR", ready=False)
    time.sleep(6)
    due = {}
    for n in range(count):
        due[str(n)] = time.time() + later
        lab.client.send_task("work", args=(n,), countdown=later, ignore_result=True)
    wait_for(lambda: len(lab.count("end")) == count, 60)
    starts = [run for run in lab.runs() if run[2] == "start"]
    late = [run[0] - due[run[3]] for run in starts]
    shares = sorted(round(100 * one / count) for one in Counter(run[1] for run in starts).values())
    print(
        f"{title}: {count} due at one moment, 4 workers: shares {shares} %, late p50 "
        f"{quantiles(late)[1]:.2f} s, p99 {quantiles(late, n=100)[-1]:.2f} s; {lab.report(count)}"
    )


def lose_delayed(lab: Lab) -> None:
    first = lab.worker("first", "-c", "2")
    for n in range(100):
        lab.client.send_task("work", args=(n,), countdown=10)
    time.sleep(4)
    first.kill_all()
    lab.worker("second", "-c", "2")
    time.sleep(40)
    print(
        f"worker killed 6 s before 100 were due, another one there; 34 s after that: {lab.report(100)}"
    )


def pain_3() -> None:
    for title, settings in (("defaults", {}), ("careful", CAREFUL)):
        for moment in (3.0, 6.5):
            with Lab(settings) as lab:
                killed(title, lab, moment)
    for title, settings in (("defaults", {}), ("careful", CAREFUL)):
        with Lab(settings) as lab:
            on_its_way(title, lab)


def killed(title: str, lab: Lab, moment: float) -> None:
    first = lab.worker("first", "-c", "2")
    for n in range(12):
        lab.client.send_task("work", args=(n, 4))
    time.sleep(moment)
    first.kill_all()
    lab.worker("second", "-c", "2", ready=False)
    time.sleep(34)
    cut = len(lab.count("start")) - len(lab.count("end"))
    print(f"{title}: killed after {moment} s; 34 s later {lab.report(12)}; begun, not ended: {cut}")


def on_its_way(title: str, lab: Lab) -> None:
    """The server popped a message; its answer does not arrive, since the worker is dead by then."""
    with proxy_to(lab.port) as proxy:
        first = lab.worker("first", "-P", "solo", LAB_PORT=str(proxy.port))

        def kill() -> None:
            proxy.struck.wait(20)
            first.kill_all()

        killer = threading.Thread(target=kill)
        proxy.strike("lose answer", b"BRPOP")
        killer.start()
        for n in range(12):
            lab.client.send_task("work", args=(n, 0.05))
        killer.join()
    lab.worker("second", "-c", "2")
    time.sleep(15)
    gone = 12 - len(lab.count("end")) - lab.redis.llen("celery") - lab.redis.hlen("unacked")
    print(f"{title}: killed while a message was on its way: {lab.report(12)}; nowhere: {gone}")


def pain_4() -> None:
    late, lost = {"task_acks_late": True}, "task_reject_on_worker_lost"
    for title, settings in (
        ("defaults", {}),
        ("acks_late", late),
        ("acks_late, reject_on_worker_lost", {**late, lost: True}),
        (
            "acks_late, retry_on_worker_lost, retry delay 1 s",
            {
                **late,
                "task_retry_on_worker_lost": True,
                "task_annotations": {"*": {"default_retry_delay": 1}},
            },
        ),
    ):
        with Lab(settings) as lab:
            children_die(title, lab)


def children_die(title: str, lab: Lab) -> None:
    worker = lab.worker("one", "-c", "2")
    once = lab.client.send_task("die", args=("once", str(lab.folder / "flag")))
    always = lab.client.send_task("die", args=("always",))
    time.sleep(20)
    starts = dict(lab.count("start"))
    others = [lab.client.send_task("add", args=(n, n)) for n in range(20)]
    began = time.monotonic()
    answered = wait_for(lambda: all(one.ready() for one in others), 20)
    print(
        f"{title}: starts in 20 s {starts}; states: once {once.state}, always {always.state}; "
        f"20 others {'done' if answered else 'NOT done'} after {time.monotonic() - began:.1f} s; "
        f"{lab.waiting()}; worker {'lives' if worker.alive else 'is dead'}"
    )


BROKEN = {
    "bytes that are no JSON": b"\x00broken",
    "an envelope without delivery_tag": json.dumps(
        {
            "body": "W10=",
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": {},
            "properties": {},
        }
    ),
    "an envelope with a body that is no JSON": json.dumps(
        {
            "body": "{{",
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": {"task": "add", "id": "broken"},
            "properties": {
                "delivery_tag": "tag",
                "delivery_info": {"exchange": "", "routing_key": "celery"},
            },
        }
    ),
}


def pain_10() -> None:
    with Lab() as lab:
        unknown(lab)
    for kind, data in BROKEN.items():
        with Lab() as lab:
            broken(lab, kind, data)


def unknown(lab: Lab) -> None:
    old = lab.worker("old", "-c", "1")
    results = [lab.client.send_task("future", args=(n,)) for n in range(100)]
    wait_for(lambda: lab.redis.llen("celery") + lab.redis.hlen("unacked") == 0, 10)
    lab.worker("new", "-c", "1", LAB_FUTURE="1")
    time.sleep(5)
    states = Counter(result.state for result in results)
    told = len(old.told("Received unregistered task"))
    print(
        f"100 unknown names, then a worker that knows it: {dict(states)}; {lab.waiting()}; {told=}"
    )


def broken(lab: Lab, kind: str, data: str | bytes) -> None:
    worker = lab.worker("one", "-c", "1")
    assert lab.client.send_task("add", args=(1, 1)).get(timeout=20) == 2
    for _ in range(10):
        lab.redis.lpush("celery", data)
    began = time.monotonic()
    result = lab.client.send_task("add", args=(2, 2))
    restarts = 0
    while not result.ready() and time.monotonic() - began < 90:
        if not worker.alive:
            restarts += 1
            worker = lab.worker(f"restart{restarts}", "-c", "1", ready=False)
        time.sleep(0.1)
    done = "done" if result.ready() else "NOT done"
    lost = sum(len(one.told("Connection to broker lost")) for one in lab.workers)
    print(
        f"10 x {kind}, then a task: {done} after {time.monotonic() - began:.1f} s; the worker died "
        f"and was started again {restarts} times, said {lost} times that it lost its connection; "
        f"{lab.waiting()}, keys of Redis {sorted(map(bytes.decode, lab.redis.keys()))}"
    )


def pain_11() -> None:
    soft = {**CAREFUL, "worker_soft_shutdown_timeout": 8}
    for title, settings, group, remapped in (
        ("defaults, TERM to the group", {}, True, {}),
        ("defaults, TERM to the parent", {}, False, {}),
        ("careful, TERM to the group", CAREFUL, True, {}),
        ("careful, TERM to the parent", CAREFUL, False, {}),
        ("careful, soft shutdown 8 s, TERM to the parent", soft, False, SOFT),
        ("careful, soft shutdown 8 s, TERM to the group", soft, True, SOFT),
    ):
        for seconds in (3.0, 12.0):
            with Lab(settings) as lab:
                contained(title, lab, group, seconds, remapped)


#: A TERM begins the soft shutdown only with this in the environment.
SOFT = {"REMAP_SIGTERM": "SIGQUIT"}


def contained(title: str, lab: Lab, group: bool, seconds: float, remapped: dict[str, str]) -> None:
    """A container is stopped: TERM, and KILL ten seconds later."""
    count = 20 if seconds < 10 else 4
    first = lab.worker("first", "-c", "2", **remapped)
    results = [lab.client.send_task("work", args=(n, seconds)) for n in range(count)]
    time.sleep(1)
    began = time.monotonic()
    if group:
        first.kill_all(signal.SIGTERM)
    else:
        first.process.terminate()
    gone = wait_for(lambda: not first.alive, 10)
    took = time.monotonic() - began
    first.kill_all()
    lab.worker("second", "-c", "2")
    wait_for(lambda: len(lab.count("end")) == count, count * seconds / 2 + 10)
    states = dict(Counter(result.state for result in results))
    ended = f"ended after {took:.1f} s" if gone else "was killed after 10 s"
    print(f"{title}, tasks of {seconds:.0f} s: first worker {ended}; {lab.report(count)}; {states}")
