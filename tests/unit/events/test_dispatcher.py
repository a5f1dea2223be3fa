"""Events of one's own, over a bus; sent tasks, which calls tell by themselves."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from uuid import uuid4

import pytest

from umbel import Umbel
from umbel.app.context import Context
from umbel.events.dispatcher import EventDispatcher
from umbel.exceptions import OperationalError

GOLDEN = json.loads((Path(__file__).parent / "golden" / "celery.json").read_text("utf-8"))


@pytest.fixture
def app():
    with Umbel("proj", broker=f"memory://{uuid4().hex}", set_as_current=False) as app:
        yield app


@pytest.fixture
def listener(app):
    listener = app.broker.bus.listen(["celeryev/*"])
    yield listener
    listener.close()


@pytest.fixture
def broken(tmp_path):
    """An app whose server does not answer."""
    with Umbel("proj", broker="redis://127.0.0.1:1/0", set_as_current=False) as app:
        app.conf.publish_timeout = 0.1
        yield app


def test_an_event_has_what_celerys_have(app, listener):
    app.events.Dispatcher().send("task-custom", uuid="u", x=1)

    [notice] = listener.take()
    golden = GOLDEN["task-custom"]
    assert notice.topic == golden["topic"]
    assert notice.payload.keys() == golden["event"].keys()
    assert (notice.payload["uuid"], notice.payload["x"]) == ("u", 1)
    name = f"gen{os.getpid()}@{os.uname().nodename}"
    assert notice.payload["hostname"] == notice.headers["hostname"] == name


def test_events_are_numbered_by_the_clock_of_the_app(app, listener):
    dispatcher = app.events.Dispatcher()
    dispatcher.send("my-thing")
    app.clock.adjust(40)
    dispatcher.send("my-thing")
    dispatcher.send("my-thing", blind=True)

    assert [notice.payload["clock"] for notice in listener.take()] == [1, 42, None]


def test_only_the_named_groups_are_sent(app, listener):
    dispatcher = app.events.Dispatcher(groups=["worker"])
    dispatcher.send("task-custom")
    dispatcher.send("worker-custom")

    assert [notice.topic for notice in listener.take()] == ["celeryev/worker.custom"]


def test_gathered_events_are_sent_together(app, listener):
    told = []
    dispatcher = app.events.Dispatcher(
        buffer_group=["task"], buffer_limit=3, on_send_buffered=lambda: told.append(1)
    )
    for number in range(4):
        dispatcher.send("task-custom", number=number)

    [notice] = listener.take()
    assert notice.topic == "celeryev/task.multi"
    assert [event["number"] for event in notice.payload] == [0, 1, 2]
    assert told == [1, 1, 1]

    dispatcher.flush()
    [notice] = listener.take()
    assert [event["number"] for event in notice.payload] == [3]


def test_a_disabled_dispatcher_sends_nothing_and_tells_of_both(app, listener):
    told = []
    dispatcher = app.events.Dispatcher(enabled=False)
    dispatcher.on_enabled.add(lambda: told.append("on"))
    dispatcher.on_disabled.add(lambda: told.append("off"))

    dispatcher.send("my-thing")
    dispatcher.disable()
    dispatcher.enable()
    dispatcher.send("my-thing", n=1)
    dispatcher.disable()
    dispatcher.publish("my-thing", {"n": 2})

    assert [notice.payload["n"] for notice in listener.take()] == [1, 2]
    assert told == ["on", "off"]


def test_an_event_can_be_made_by_somebody_else(app, listener):
    app.events.Dispatcher().send("my-thing", Event=lambda name, **_fields: {"type": name.upper()})

    assert listener.take()[0].payload == {"type": "MY-THING"}


def test_what_cannot_be_sent_is_kept_until_the_server_is_back(app, listener, broken):
    broken_dispatcher = broken.events.Dispatcher()
    broken_dispatcher.send("my-thing", n=1)
    dispatcher = app.events.Dispatcher()

    dispatcher.extend_buffer(broken_dispatcher)
    dispatcher.flush(errors=False)
    assert listener.take() == []
    dispatcher.flush()

    assert [notice.payload["n"] for notice in listener.take()] == [1]


def test_the_default_dispatcher_keeps_nothing(broken):
    with broken.events.default_dispatcher() as dispatcher, pytest.raises(OperationalError):
        dispatcher.send("my-thing")


def test_a_dispatcher_without_an_app_uses_the_current_one(app, listener):
    app.set_current()
    EventDispatcher(hostname="me").send("my-thing")

    assert [notice.payload["hostname"] for notice in listener.take()] == ["me"]


def test_a_task_sends_events_of_its_own(app, listener):
    @app.task(name="cust", bind=True)
    def cust(self):
        self.send_event("task-progress", done=3)

    with cust.requested(Context(id="id-cust", hostname="w1@h")):
        cust.run()

    [notice] = listener.take()
    golden = GOLDEN["task-progress"]
    assert notice.topic == golden["topic"]
    assert notice.payload.keys() == golden["event"].keys()
    shown = {name: notice.payload[name] for name in ("uuid", "hostname", "done", "type")}
    assert shown == {
        "uuid": "id-cust", "hostname": "w1@h", "done": 3, "type": "task-progress",
    }  # fmt: skip


# Sent tasks ---------------------------------------------------------------------------------------


@pytest.fixture
def add(app):
    @app.task(name="add")
    def add(x, y):
        return x + y

    return add


def test_sent_tasks_are_told_where_the_setting_asks_for_it(app, add, listener):
    add.delay(1, 2)
    assert listener.take() == []

    app.conf.task_send_sent_event = True
    result = add.apply_async((2, 3), countdown=60, shadow="shown")

    [notice] = listener.take()
    golden = GOLDEN["task-sent"]
    assert notice.topic == golden["topic"]
    event = notice.payload
    assert event.keys() == golden["event"].keys()
    assert event["eta"] is not None
    assert (event["uuid"], event["name"], event["args"]) == (result.id, "add", "(2, 3)")
    assert (event["queue"], event["exchange"], event["routing_key"]) == ("celery", "", "celery")


def test_many_sent_tasks_are_told_at_once(app, add, listener):
    app.conf.task_send_sent_event = True

    results = add.delay_many([(1, 1), (2, 2)])

    [notice] = listener.take()
    assert notice.topic == "celeryev/task.multi"
    assert [event["uuid"] for event in notice.payload] == [result.id for result in results]
    assert [event["args"] for event in notice.payload] == ["(1, 1)", "(2, 2)"]


def test_tasks_that_are_sent_in_an_event_loop_are_told_too(app, add, listener):
    app.conf.task_send_sent_event = True

    result = asyncio.run(add.adelay(1, 2))

    assert [notice.payload["uuid"] for notice in listener.take()] == [result.id]


def test_masked_arguments_stay_masked(app, add, listener):
    app.conf.task_send_sent_event = True

    add.apply_async((1, "secret"), argsrepr="(1, '***')")

    [notice] = listener.take()
    assert notice.payload["args"] == "(1, '***')"
    assert "secret" not in repr(notice)
