"""What workers tell monitors, and when; in Celery's form on Celery's channels (golden samples)."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.deployment import Deployment, await_true
from tests.servers import RedisServer

from umbel import Umbel
from umbel.events.emitter import Emitter
from umbel.events.lamport import LamportClock
from umbel.events.types import TaskStarted
from umbel.worker.services.events import KEPT, LIST, EventSender

GOLDEN = json.loads(
    (Path(__file__).parents[2] / "unit/events/golden/celery.json").read_text("utf-8")
)
FIELDS = {one["event"]["type"]: set(one["event"]) for one in GOLDEN.values()}
APP = "tests.apps.watched"


class Told:
    """Everything that was told since this was made."""

    def __init__(self, app: Umbel) -> None:
        self.listener = app.broker.bus.listen(["celeryev/*"])
        self.events: list[dict[str, Any]] = []
        self.topics: set[str] = set()

    def look(self) -> None:
        for notice in self.listener.take():
            self.topics.add(notice.topic)
            payload = notice.payload
            self.events += payload if isinstance(payload, list) else [payload]

    def of(self, task_id: str) -> list[str]:
        self.look()
        return [event["type"] for event in self.events if event.get("uuid") == task_id]

    def named(self, name: str) -> list[dict[str, Any]]:
        self.look()
        return [event for event in self.events if event["type"] == name]


@pytest.fixture
def watch():
    """Makes an app that tells of it what is sent, and listens."""
    made: list[Told] = []

    def make(deployment: Deployment) -> tuple[Umbel, Told]:
        app = deployment.app()
        made.append(Told(app))
        return app, made[-1]

    yield make
    for told in made:
        told.listener.close()


def test_monitors_are_told_of_a_worker_and_its_tasks_as_celery_tells_them(
    deploy: Callable[..., Deployment], watch: Any
) -> None:
    deployment = deploy(task_send_sent_event=True)
    app, told = watch(deployment)
    app.conf.task_send_sent_event = True
    node = deployment.start("-E", "-c", "2", app=APP)
    ended = {
        "add": "task-succeeded",
        "fail": "task-failed",
        "refuse": "task-rejected",
        "progress": "task-succeeded",
    }
    args = {"add": (1, 2)}
    results = {name: app.send_task(name, args=args.get(name)) for name in ended}
    again = app.send_task("again")
    private = app.send_task("private")
    past = datetime.now(UTC) - timedelta(seconds=60)
    expired = app.send_task("add", args=(1, 1), expires=past)

    for name, last in ended.items():
        await_true(lambda name=name, last=last: last in told.of(results[name].id), 15, name)
    await_true(lambda: "task-succeeded" in told.of(again.id), 15)
    await_true(lambda: "task-revoked" in told.of(expired.id), 15)
    assert private.get(timeout=10) is None
    assert sorted(told.of(results["add"].id)) == [
        "task-received", "task-sent", "task-started", "task-succeeded",
    ]  # fmt: skip
    assert sorted(told.of(again.id)) == [
        "task-received", "task-received", "task-retried", "task-sent", "task-sent",
        "task-started", "task-started", "task-succeeded",
    ]  # fmt: skip
    assert "task-progress" in told.of(results["progress"].id)
    await_true(lambda: told.named("worker-heartbeat"), 10)
    node.signal(signal.SIGTERM)
    assert node.wait() == 0
    await_true(lambda: told.named("worker-offline"), 10)

    assert told.of(private.id) == ["task-sent"]
    for event in told.events:
        assert set(event) == FIELDS[event["type"]], event["type"]
    assert {event["hostname"] for event in told.events if event["type"] != "task-sent"} == {
        "node0@test"
    }
    [online], [offline] = told.named("worker-online"), told.named("worker-offline")
    assert (online["processed"], online["active"], online["sw_ident"]) == (0, 0, "py-umbel")
    assert offline["processed"] == 8
    assert {"celeryev/worker.online", "celeryev/task.multi", "celeryev/task.sent"} <= told.topics
    ours = sorted(
        (event["clock"], event["type"])
        for event in told.events
        if event["hostname"] == "node0@test" and event["type"] != "task-progress"
    )
    assert (ours[0][1], ours[-1][1]) == ("worker-online", "worker-offline")


def test_events_are_switched_on_and_off_from_afar_also_for_processes_to_come(
    deploy: Callable[..., Deployment], watch: Any, kind: str
) -> None:
    deployment = deploy()
    app, told = watch(deployment)
    node = deployment.start("-c", "1", app=APP)
    silent = app.send_task("add", args=(1, 2))
    assert silent.get(timeout=10) == 3

    def ask(name: str) -> str:
        [said] = app.control.broadcast(name, reply=True, timeout=10, limit=1)
        return str(said["node0@test"]["ok"])

    assert ask("disable_events") == "task events already disabled"
    if kind == "sqlite":  # where telling costs a write
        assert told.named("worker-online") == []
    assert ask("enable_events") == "task events enabled"
    assert ask("enable_events") == "task events already enabled"
    first = app.send_task("add", args=(1, 2))
    await_true(lambda: "task-succeeded" in told.of(first.id), 10)
    await_true(lambda: told.named("worker-online"), 10)

    [child] = node.children()
    os.kill(child, signal.SIGKILL)
    second = app.send_task("add", args=(1, 2))
    await_true(lambda: "task-succeeded" in told.of(second.id), 15)
    [succeeded] = [one for one in told.named("task-succeeded") if one["uuid"] == second.id]
    assert succeeded["pid"] not in (child, node.pid)

    assert ask("disable_events") == "task events disabled"
    last = app.send_task("add", args=(1, 2))
    assert last.get(timeout=10) == 3
    assert ask("enable_events") == "task events enabled"
    after = app.send_task("add", args=(1, 2))
    await_true(lambda: "task-succeeded" in told.of(after.id), 10)
    assert told.of(silent.id) == told.of(last.id) == []


def test_a_heartbeat_is_sent_when_it_is_asked_for(
    deploy: Callable[..., Deployment], watch: Any
) -> None:
    deployment = deploy()
    app, told = watch(deployment)
    deployment.start("-c", "1", "--without-heartbeat", "--without-gossip", app=APP)

    assert app.control.broadcast("heartbeat", reply=True, timeout=10, limit=1) == [
        {"node0@test": None}
    ]

    await_true(lambda: told.named("worker-online"), 10)
    assert told.named("worker-heartbeat") == []


def test_a_task_that_is_ended_from_afar_is_told_by_the_supervisor(
    deploy: Callable[..., Deployment], watch: Any
) -> None:
    deployment = deploy()
    app, told = watch(deployment)
    node = deployment.start("-c", "1", "-E", app=APP)
    asleep = app.send_task("sleep", args=(60,))
    await_true(lambda: "task-started" in told.of(asleep.id), 10)

    app.control.revoke(asleep.id, terminate=True)

    await_true(lambda: "task-revoked" in told.of(asleep.id), 10)
    [revoked] = told.named("task-revoked")
    assert (revoked["terminated"], revoked["pid"]) == (True, node.pid)


@pytest.mark.parametrize("pool", ["threads", "solo"])
@pytest.mark.parametrize("kind", ["sqlite"])
def test_the_other_pools_tell_too(
    deploy: Callable[..., Deployment], watch: Any, kind: str, pool: str
) -> None:
    deployment = deploy()
    app, told = watch(deployment)
    node = deployment.start("-P", pool, "-c", "1", "-E", app=APP)
    asleep = app.send_task("sleep", args=(0.2,))

    await_true(lambda: "task-succeeded" in told.of(asleep.id), 10)
    node.signal(signal.SIGTERM)
    assert node.wait() == 0
    await_true(lambda: told.named("worker-offline"), 10)
    assert told.named("worker-offline")[0]["processed"] == 1


# One process, whose server comes and goes ----------------------------------------------------------


@pytest.fixture
def sender(redis_server: RedisServer) -> Iterator[tuple[Emitter, EventSender, Umbel]]:
    with Umbel("events", broker=redis_server.url, set_as_current=False) as app:
        emitter = Emitter()
        sender = EventSender(
            bus=app.broker.bus,
            emitter=emitter,
            clock=LamportClock(),
            node="me@here",
            exchange="celeryev",
            private=lambda: ["private"],
        )
        yield emitter, sender, app
        sender.stop()


@pytest.mark.redis
def test_a_process_that_tells_nothing_is_not_subscribed(
    sender: tuple[Emitter, EventSender, Umbel],
) -> None:
    emitter, events, _ = sender
    before = threading.active_count()
    assert not emitter.wanted(TaskStarted)

    events.switch(on=True)
    events.switch(on=True)
    assert emitter.wanted(TaskStarted)
    assert threading.active_count() == before + 1

    events.switch(on=False)
    assert not emitter.wanted(TaskStarted)


@pytest.mark.redis
def test_what_nobody_hears_is_not_gathered_until_somebody_asks(
    sender: tuple[Emitter, EventSender, Umbel],
) -> None:
    emitter, events, app = sender
    events.switch(on=True)
    emitter.emit(TaskStarted(id="unheard", name="add"))
    await_true(lambda: not emitter.wanted(TaskStarted), 10)

    told = Told(app)
    events.switch(on=True)
    assert emitter.wanted(TaskStarted)
    emitter.emit(TaskStarted(id="heard", name="add"))

    await_true(lambda: told.of("heard"), 10)
    assert told.of("unheard") == []
    told.listener.close()


@pytest.mark.redis
def test_somebody_who_does_not_ask_is_heard_soon(
    sender: tuple[Emitter, EventSender, Umbel],
) -> None:
    emitter, events, _app = sender
    events.switch(on=True)
    emitter.emit(TaskStarted(id="unheard", name="add"))
    await_true(lambda: not emitter.wanted(TaskStarted), 10)

    await_true(lambda: emitter.wanted(TaskStarted), 10)


@pytest.mark.redis
def test_while_the_server_is_away_the_latest_events_are_kept(
    sender: tuple[Emitter, EventSender, Umbel],
    redis_server: RedisServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    emitter, events, app = sender
    told = Told(app)
    events.switch(on=True)
    redis_server.freeze()
    emitter.emit(TaskStarted(id="first", name="add"))
    count = KEPT + 2 * LIST
    for number in range(count):
        emitter.emit(TaskStarted(id=str(number), name="add"))
        emitter.emit(TaskStarted(id="no", name="private"))
        emitter.emit(TaskStarted(id="no", name="shown", private=True))
    redis_server.thaw()

    await_true(lambda: told.of(str(count - 1)), 20)
    # What timed out may have arrived all the same.
    ids = list(dict.fromkeys(event["uuid"] for event in told.events))
    assert ids[-KEPT:] == [str(number) for number in range(count - KEPT, count)]
    assert len(ids) <= KEPT + LIST
    assert any("were not told of" in record.getMessage() for record in caplog.records)
    told.listener.close()


@pytest.mark.redis
def test_what_waits_when_a_process_leaves_is_sent(
    sender: tuple[Emitter, EventSender, Umbel],
) -> None:
    emitter, events, app = sender
    told = Told(app)
    events.switch(on=True)
    for number in range(3 * LIST):
        emitter.emit(TaskStarted(id=str(number), name="add"))

    events.stop()

    await_true(lambda: len(told.named("task-started")) == 3 * LIST, 10)
    told.listener.close()
