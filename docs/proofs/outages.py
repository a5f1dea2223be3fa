"""Pains 12, 13, 14 and 18: Redis goes away and comes back, and who asks how a worker is."""
# ruff: noqa: INP001, S603, T201 - scripts that start programs and print what they saw

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any

from lab import CAREFUL, HERE, Lab, wait_for


def pain_12() -> None:
    sweep = {
        "broker_transport_options": {
            "visibility_timeout": 15,
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
        }
    }
    late = {"task_acks_late": True}
    for title, settings, options in (
        ("prefork, acks_late", late, ("-c", "2")),
        ("prefork, careful", CAREFUL, ("-c", "2")),
        ("solo, acks_late", late, ("-P", "solo")),
    ):
        for _ in range(2):
            with Lab({**settings, **sweep}, appendonly=True) as lab:
                ended_meanwhile(title, lab, options)


def ended_meanwhile(title: str, lab: Lab, options: tuple[str, ...]) -> None:
    """Tasks end while Redis is away; what was not acknowledged comes back 15 seconds later."""
    first = lab.worker("first", *options)
    for n in range(30):
        lab.client.send_task("work", args=(n, 0.5))
    time.sleep(2.2)
    lab.kill_server()
    away = time.time()
    time.sleep(3)
    lab.start_server()
    time.sleep(40)
    alive = "lives" if first.alive else "is dead"
    meanwhile = sum(run[2] == "end" and away < run[0] < away + 3 for run in lab.runs())
    again = sorted(tag for tag, count in lab.count("end").items() if count > 1)
    print(f"{title}: worker {alive}; {meanwhile} ended in the outage; {lab.report(30)}: {again}")


def pain_13() -> None:
    for title, settings, options in (
        ("prefork, defaults", {}, ("-c", "2")),
        ("prefork, careful", CAREFUL, ("-c", "2")),
        ("threads, defaults", {}, ("-P", "threads", "-c", "2")),
        ("solo, acks_late", {"task_acks_late": True}, ("-P", "solo")),
    ):
        for count, seconds in ((4, 6.0), (60, 0.5)):
            with Lab(settings, appendonly=True) as lab:
                server_killed(title, lab, options, count, seconds)


def server_killed(
    title: str, lab: Lab, options: tuple[str, ...], count: int, seconds: float
) -> None:
    """Redis, with its AOF, is killed two seconds after the tasks were sent and back three later."""
    first = lab.worker("first", *options)
    for n in range(count):
        lab.client.send_task("work", args=(n, seconds))
    time.sleep(2)
    lab.kill_server()
    time.sleep(3)
    lab.start_server()
    time.sleep(count * seconds / (1 if "solo" in title else 2) + 10)
    alive = "lives" if first.alive else f"is dead ({first.process.returncode})"
    print(f"{title}, {count} tasks of {seconds} s: worker {alive}; {lab.report(count)}")
    for line in first.told("Unrecoverable", "CRITICAL")[:2]:
        print("   ", line)
    first.stop()
    lab.worker("second", "-c", "2")
    wait_for(lambda: len(lab.count("end")) == count, 12)
    time.sleep(3)
    print(f"    after a new worker replaced it: {lab.report(count)}")


def pain_14() -> None:
    with Lab() as lab:
        fresh = lab.make_client()
        lab.client.send_task("add", args=(1, 1))
        lab.kill_server()
        for name, client in (("connected before", lab.client), ("never connected", fresh)):
            for ignore in (False, True):
                calls(name, client, ignore)
        lab.start_server()
        for name, client in (("connected before", lab.client), ("never connected", fresh)):
            seconds, error = timed(lambda client=client: client.send_task("add", args=(2, 2)))
            print(f"Redis is back, {name}: {seconds:.2f} s, {error or 'sent'}")
    for ignore in (False, True):
        with Lab() as lab, Lab() as results:
            url = f"redis://127.0.0.1:{results.port}/1"
            lab.client.conf.result_backend = url
            results.kill_server()
            seconds, error = timed(
                lambda client=lab.client, ignore=ignore: client.send_task(
                    "add", args=(1, 1), ignore_result=ignore
                )
            )
            told = f"ignore_result={ignore}: {seconds:.2f} s, {error or 'sent'}"
            print(f"only the result backend is down, {told}")


def calls(name: str, client: Any, ignore: bool) -> None:
    took = [
        timed(lambda: client.send_task("add", args=(1, 1), ignore_result=ignore)) for _ in range(2)
    ]
    told = ", ".join(f"{seconds:.2f} s {error}" for seconds, error in took)
    print(f"Redis is down, {name}, ignore_result={ignore}: {told}")


def timed(call: Callable[[], Any]) -> tuple[float, str]:
    began = time.monotonic()
    try:
        call()
    except Exception as error:  # noqa: BLE001 - which one it is, is the question
        return time.monotonic() - began, type(error).__name__
    return time.monotonic() - began, ""


def pain_18() -> None:
    with Lab() as lab:
        lab.worker("one", "-c", "1")
        ping("idle prefork", lab, 5)
        with running(lab):
            ping("prefork that computes for 20 s", lab, 3)
        lab.kill_server()
        ping("Redis is down", lab, 2)
    with Lab() as lab:
        lab.worker("one", "-P", "solo")
        ping("idle solo", lab, 2)
        with running(lab):
            ping("solo that computes for 20 s", lab, 3)


@contextmanager
def running(lab: Lab) -> Iterator[None]:
    result = lab.client.send_task("spin", args=(20,))
    time.sleep(1)
    yield
    result.get(timeout=60)


def ping(title: str, lab: Lab, times: int) -> None:
    for _ in range(times):
        began, before = time.monotonic(), getrusage(RUSAGE_CHILDREN)
        try:
            done = subprocess.run(
                lab.celery("inspect", "ping", "-d", "one@lab", "-t", "3"),
                cwd=HERE, env=lab.environment(), capture_output=True, text=True, timeout=60,
                check=False,
            )  # fmt: skip
            code = str(done.returncode)
            lines = (done.stdout + done.stderr).strip().splitlines()
            last = lines[-1] if lines else ""
        except subprocess.TimeoutExpired:
            code, last = "none", "no end within 60 s"
        after = getrusage(RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        took = time.monotonic() - began
        print(f"{title}: exit {code} after {took:.2f} s, {used:.2f} s of processor: {last}")
