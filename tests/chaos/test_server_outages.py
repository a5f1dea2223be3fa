"""Redis goes away in every way it can, under workers in every state (pains 12, 13 and 18).

Workers of every kind and load run on databases of one server, so that one fault strikes them all.
They are the same processes through all rounds.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import msgspec
import pytest
from tests.chaos.conftest import QUICK
from tests.deployment import Deployment, Node, await_true, deployment
from tests.integration.redis.proxy import Proxy, proxy_to
from tests.servers import RedisServer

from umbel.worker.services.health import probe

pytestmark = pytest.mark.redis

PREFORK, SOLO = ("-c", "2"), ("-P", "solo")
#: Seconds within which everything works again.
RESUME = 5.0
AWAY, FROZEN = 3.0, 10.0


class Situation(msgspec.Struct):
    """One deployment with its load: so many tasks of so many seconds in each round."""

    name: str
    workers: tuple[tuple[str, ...], ...]
    tasks: int
    seconds: float
    deployment: Deployment
    client: Deployment
    nodes: list[Node] = []
    pids: list[list[int]] = []

    def send(self, number: int) -> None:
        app = self.client.app()
        for n in range(self.tasks):
            app.send_task("work", args=(f"{number}.{n}", self.seconds))

    def tags(self, number: int) -> set[str]:
        return {f"{number}.{n}" for n in range(self.tasks)}


SITUATIONS = {
    "idle prefork": ((PREFORK,), 0, 0.0),
    "idle solo": ((SOLO,), 0, 0.0),
    "busy prefork": ((PREFORK,), 4, 1.5),
    "busy solo": ((SOLO,), 3, 1.5),
    "full prefork": ((PREFORK,), 60, 0.05),
    "full solo": ((SOLO,), 60, 0.05),
    "two workers": ((PREFORK, PREFORK), 8, 1.0),
}


@pytest.fixture
def proxy(own_redis: RedisServer) -> Iterator[Proxy]:
    with proxy_to(own_redis.port) as made:
        yield made


@pytest.fixture
def situations(own_redis: RedisServer, proxy: Proxy, tmp_path: Path) -> Iterator[list[Situation]]:
    with ExitStack() as stack:
        made = []
        for db, (name, (workers, tasks, seconds)) in enumerate(SITUATIONS.items()):
            folder = tmp_path / name.replace(" ", "-")
            folder.mkdir()
            through, direct = f"redis://127.0.0.1:{proxy.port}/{db}", own_redis.url_of(db)
            one = Situation(
                name, workers, tasks, seconds,
                stack.enter_context(deployment(folder, through, through, **QUICK)),
                Deployment(folder, direct, direct),
            )  # fmt: skip
            one.nodes = [one.deployment.start(*flags, ready=False) for flags in workers]
            made.append(one)
        for one in made:
            for node in one.nodes:
                await_true(node.ready, 30, one.name)
            one.pids = [[node.pid, *node.children()] for node in one.nodes]
        yield made


@pytest.mark.timeout(420)
def test_every_worker_carries_on_after_every_kind_of_outage(
    own_redis, proxy, situations, chance, figure
):
    faults = 5 * ["kill", "freeze", "close connections", "cut connections"]
    chance.shuffle(faults)
    slowest: Counter[str] = Counter()
    for number, fault in enumerate(faults):
        for one in situations:
            one.send(number)
        for one in situations:
            await_true(partial(begun, one, number), 10, one.name)
        time.sleep(chance.uniform(0, 0.5))
        began = time.time()
        strike(fault, own_redis, proxy)
        back = time.time()
        for one in situations:
            resumed = resume(one, number, back)
            slowest[fault] = max(slowest[fault], resumed)
            assert resumed < RESUME, f"{fault}, {one.name}: resumed after {resumed:.1f} s"
        for one in situations:
            check(one, number, began)
    told = ", ".join(f"{fault} {seconds:.1f} s" for fault, seconds in sorted(slowest.items()))
    figure(
        f"{len(faults)} rounds of {len(situations)} workers: 0 lost, 0 repeated, resumed: {told}"
    )


def begun(one: Situation, number: int) -> bool:
    """Whether one of its tasks runs, if there are any."""
    starts = one.deployment.runs.count("start")
    return not one.tasks or any(starts[tag] for tag in one.tags(number))


def strike(fault: str, server: RedisServer, proxy: Proxy) -> None:
    """From the beginning of the outage to its end."""
    if fault == "kill":
        server.kill()
        time.sleep(AWAY)
        server.start()
    elif fault == "freeze":
        server.freeze()
        time.sleep(FROZEN)
        server.thaw()
    elif fault == "close connections":
        server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    else:
        proxy.cut()


def resume(one: Situation, number: int, back: float) -> float:
    """Seconds from the end of the outage until a new message of high priority starts."""
    tag = f"probe.{number}"
    one.client.app().send_task("work", args=(tag,), priority=9)
    runs = one.deployment.runs
    await_true(lambda: runs.moments("start", tag), RESUME + 5, f"{one.name} takes messages")
    return max(runs.moments("start", tag)[0] - back, 0.0)


def check(one: Situation, number: int, fault_at: float) -> None:
    """Each task of the round ran; what had ended before the fault ran once; nobody died."""
    runs, tags = one.deployment.runs, one.tags(number)
    await_true(lambda: tags <= runs.count("end").keys(), 15, f"{one.name}: all ran")
    await_true(lambda: settled(one), 5, f"{one.name}: all loans ended")
    starts = runs.count("start")
    before = {line[3] for line in runs.lines() if line[2] == "end" and line[0] < fault_at}
    again = {tag for tag in tags if starts[tag] > 1}
    assert not again & before, f"{one.name}: these had ended before the outage and ran again"
    assert not again, f"{one.name}: the worker lived, but these ran again"
    for node, pids in zip(one.nodes, one.pids, strict=True):
        assert node.process.poll() is None, node.log
        assert [node.pid, *node.children()] == pids, f"{one.name}: processes were replaced"


def settled(one: Situation) -> bool:
    queues = one.client.app().broker.admin.queues(["celery"])
    return all(queue.ready + queue.lent + queue.delayed == 0 for queue in queues)


@pytest.mark.timeout(120)
def test_probes_tell_the_truth_during_long_work_and_an_outage(own_redis, tmp_path, figure):
    """Asked all the time while a task computes for half a minute and while the server is away. Other
    programs on the machine spoil the figure: the best ten seconds count."""
    parts: list[list[float]] = [[], [], []]
    outage: list[float] = []
    with deployment(tmp_path, own_redis.url, own_redis.url, **QUICK) as made:
        node = made.start("-c", "1")
        made.app().send_task("spin", args=(30.0,))
        asked = [ask(node, took) for took in parts for _ in moments(10.0)]
        assert set(asked) == {(200, 200)}

        own_redis.kill()
        away = [ask(node, outage) for _ in moments(AWAY)]
        own_redis.start()
        await_true(lambda: ask(node, outage) == (200, 200), RESUME)
    assert {live for live, _ in away} == {200}
    first = away.index((200, 503))
    assert set(away[first:]) == {(200, 503)}, "not ready until the server is back"
    slowest = [1000 * most(took) for took in (*parts, outage)]
    figure(
        f"{len(asked) + len(away)} times both: p99 {', '.join(f'{one:.1f}' for one in slowest)} ms "
        f"(the last in the outage); the outage was seen by number {first} in it"
    )
    assert min(slowest[:3]) < 20


def moments(seconds: float) -> Iterator[None]:
    """Twenty in each second."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(0.05)


def ask(node: Node, took: list[float]) -> tuple[int, int]:
    """What /live and /ready say; ``took`` gets the seconds of each."""
    answers = []
    for path in ("/live", "/ready"):
        began = time.monotonic()
        answers.append(probe(node.socket, path))
        took.append(time.monotonic() - began)
    return answers[0], answers[1]


def most(took: list[float]) -> float:
    """The 99th percentile."""
    return sorted(took)[int(len(took) * 0.99)]
