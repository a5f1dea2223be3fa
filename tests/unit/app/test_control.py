"""What ``app.control`` tells and asks, against nodes that speak its form on a bus in memory."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing

import pytest
from tests.nodes import Node

from umbel import Celery, Umbel, uuid
from umbel.app.control import flatten_reply
from umbel.exceptions import DuplicateNodenameWarning, NodeNotFound


@pytest.fixture
def app():
    with Umbel("control", broker=f"memory://{uuid()}", set_as_current=False) as app:
        yield app


@pytest.fixture
def node(app):
    with ExitStack() as opened:
        yield lambda *arguments: opened.enter_context(closing(Node(app, *arguments)))


def test_every_node_answers_and_nobody_waits_for_more(app, node):
    node("one@x"), node("two@x")
    began = time.monotonic()
    assert app.control.inspect(timeout=60).ping() == {
        "one@x": {"ok": "pong"},
        "two@x": {"ok": "pong"},
    }
    assert sorted(app.control.ping(timeout=60), key=str) == [
        {"one@x": {"ok": "pong"}},
        {"two@x": {"ok": "pong"}},
    ]
    assert time.monotonic() - began < 30


def test_nobody_answers_where_nobody_is(app):
    assert app.control.inspect(timeout=60).active() is None
    assert app.control.ping(timeout=60) == []


def test_a_node_that_stays_silent_is_waited_for_until_the_timeout(app, node):
    node("one@x"), node("mute@x", None)
    began = time.monotonic()
    assert app.control.ping(timeout=0.2) == [{"one@x": {"ok": "pong"}}]
    assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize(
    "options",
    [{"destination": ["two@x"]}, {"pattern": "two@*"}, {"pattern": "two@.$", "matcher": "pcre"}],
)
def test_only_who_is_meant_hears_and_is_waited_for(app, node, options):
    one, _two = node("one@x"), node("two@x")
    assert app.control.inspect(timeout=60, **options).ping() == {"two@x": {"ok": "pong"}}
    assert one.heard == []


def test_a_limit_ends_the_wait(app, node):
    node("one@x"), node("mute@x", None)
    assert len(app.control.ping(timeout=60, limit=1)) == 1


def test_a_callback_gets_each_reply_as_it_comes(app, node):
    node("one@x"), node("two@x")
    came = []
    replies = app.control.broadcast("ping", reply=True, timeout=60, callback=came.append)
    assert came == replies
    assert len(came) == 2


def test_two_nodes_of_one_name_are_warned_of(app, node):
    node("one@x"), node("one@x")
    with pytest.warns(DuplicateNodenameWarning, match=r"More than one node answers as one@x\."):
        app.control.inspect(timeout=60).ping()


def test_replies_become_one_dict():
    assert flatten_reply([{"a": 1}, {"b": 2}]) == {"a": 1, "b": 2}


def test_a_request_has_the_form_of_celery(app, node):
    one = node("one@x")
    app.control.broadcast("rate_limit", {"task_name": "add"}, rate_limit="1/s", reply=True)
    app.control.rate_limit("add", "1/s")
    one.await_heard()
    while len(one.heard) < 2:
        time.sleep(0.005)
    asked, told = one.heard
    assert asked.topic == "celery.pidbox"
    assert asked.payload.pop("ticket")
    assert asked.payload.pop("reply_to")["exchange"] == "reply.celery.pidbox"
    assert asked.payload == told.payload == {
        "method": "rate_limit",
        "arguments": {"task_name": "add", "rate_limit": "1/s"},
        "destination": None,
        "pattern": None,
        "matcher": None,
    }  # fmt: skip
    assert isinstance(told.headers["clock"], int)
    assert time.time() < told.headers["expires"] < time.time() + 2


def test_an_app_with_a_control_exchange_of_its_own_reaches_its_own_nodes_only(app):
    own = Umbel(
        "own", broker=app.conf.broker_url, control_exchange="own", set_as_current=False
    )  # fmt: skip
    with own, closing(Node(own, "own@x")), closing(Node(app, "usual@x")):
        assert own.control.inspect(timeout=60).ping() == {"own@x": {"ok": "pong"}}
        assert app.control.inspect(timeout=60).ping() == {"usual@x": {"ok": "pong"}}


#: What each method puts on the wire.
TOLD = {
    "rate_limit": (("add", "9/m"), {"task_name": "add", "rate_limit": "9/m"}),
    "time_limit": (("add", 1, 2), {"task_name": "add", "soft": 1, "hard": 2}),
    "enable_events": ((), {}),
    "disable_events": ((), {}),
    "heartbeat": ((), {}),
    "shutdown": ((), {}),
    "pool_grow": ((2,), {"n": 2}),
    "pool_shrink": ((), {"n": 1}),
    "autoscale": ((9, 3), {"max": 9, "min": 3}),
    "pool_restart": ((["a"],), {"modules": ["a"], "reload": False, "reloader": None}),
    "cancel_consumer": (("q",), {"queue": "q"}),
    "add_consumer": (
        ("q", None, "topic", "k", {"durable": False}),
        {"queue": "q", "exchange": None, "exchange_type": "topic", "routing_key": "k", "durable": False},
    ),
    "revoke": (("1",), {"task_id": "1", "terminate": False, "signal": "SIGTERM"}),
    "revoke_by_stamped_headers": (
        ({"k": ["v"]},), {"headers": {"k": ["v"]}, "terminate": False, "signal": "SIGTERM"},
    ),
    "election": (("i", "t", "a"), {"id": "i", "topic": "t", "action": "a"}),
}  # fmt: skip


@pytest.mark.parametrize("command", TOLD)
def test_a_command_travels_with_its_arguments(app, node, command):
    arguments, told = TOLD[command]
    one = node("one@x")
    assert getattr(app.control, command)(*arguments) is None
    (notice,) = one.await_heard()
    assert (notice.payload["method"], notice.payload["arguments"]) == (command, told)


#: The same for questions.
ASKED = {
    "active": ((), {"safe": None}),
    "reserved": ((), {}),
    "scheduled": ((), {}),
    "revoked": ((), {}),
    "registered": (("rate_limit",), {"taskinfoitems": ["rate_limit"]}),
    "registered_tasks": ((), {"taskinfoitems": []}),
    "query_task": (("1", "2"), {"ids": ["1", "2"]}),
    "active_queues": ((), {}),
    "stats": ((), {}),
    "report": ((), {}),
    "conf": ((True,), {"with_defaults": True}),
    "clock": ((), {}),
    "ping": ((), {}),
    "hello": (("me", ["1"]), {"from_node": "me", "revoked": ["1"]}),
    "memsample": ((), {}),
    "memdump": ((5,), {"samples": 5}),
    "objgraph": ((), {"num": 200, "max_depth": 10, "type": "Request"}),
}


@pytest.mark.parametrize("question", ASKED)
def test_a_question_travels_with_its_arguments(app, node, question):
    arguments, asked = ASKED[question]
    node("one@x", lambda request: [request["method"], request["arguments"]])
    reply = getattr(app.control.inspect(timeout=60), question)(*arguments)
    assert reply == {"one@x": [question.removesuffix("_tasks"), asked]}


def test_ids_may_be_given_as_a_list(app, node):
    node("one@x", lambda request: request["arguments"])
    assert app.control.inspect(timeout=60).query_task(["1"]) == {"one@x": {"ids": ["1"]}}


def test_a_node_that_nobody_has_heard_of_is_named_with_the_nearest(app, node):
    node("one@x")
    with pytest.raises(
        NodeNotFound, match="No node is named 'on@x'; did you mean 'one@x'"
    ) as error:
        app.control.shutdown(destination=["on@x"])
    assert isinstance(error.value, LookupError)
    assert app.control.ping(["on@x"], timeout=0.05) == []


def test_a_node_that_leaves_at_once_when_it_is_told_to_was_there(app, monkeypatch):
    consumer = app.broker.consume([], "one@x/1/abc")
    bus = app.broker.bus
    publish = bus.publish

    def obeyed_at_once(*arguments):
        reached = publish(*arguments)
        consumer.close()
        return reached

    monkeypatch.setattr(bus, "publish", obeyed_at_once)
    app.control.shutdown(destination=["one@x"])
    with pytest.raises(NodeNotFound):
        app.control.shutdown(destination=["one@x"])


def test_a_lenient_app_warns_of_it(caplog):
    with Celery("lenient", broker=f"memory://{uuid()}", set_as_current=False) as app:
        app.control.shutdown(destination=["on@x"])
    assert "No node is named 'on@x'; the broker has heard of no worker lately" in caplog.text


@pytest.mark.parametrize("timeout", [-1, "5", float("nan"), True])
def test_a_timeout_is_seconds(app, timeout):
    with pytest.raises(ValueError, match="timeout must be seconds"):
        app.control.ping(timeout=timeout)


class Group:
    """What is revoked with it is in ``results``, as with a group of results."""

    def __init__(self, *results):
        self.id = "the group's own"
        self.results = results


def test_revoking_is_written_down_before_it_is_told(app, node):
    one = node("one@x")
    app.control.revoke(Group(app.AsyncResult("1"), Group(app.AsyncResult("2"))), terminate=True)
    assert set(app.broker.revoked()) == {"1", "2"}
    (notice,) = one.await_heard()
    assert notice.payload["arguments"] == {
        "task_id": ["1", "2"],
        "terminate": True,
        "signal": "SIGTERM",
    }


def test_a_result_can_have_its_task_ended(app, node):
    one = node("one@x")
    app.AsyncResult("1").revoke(terminate=True, signal="SIGKILL", wait=True, timeout=60)
    (notice,) = one.heard
    assert notice.payload["arguments"] == {"task_id": "1", "terminate": True, "signal": "SIGKILL"}
    assert set(app.broker.revoked()) == {"1"}


def test_revoking_nothing_tells_nobody(app, node):
    one = node("one@x")
    assert app.control.revoke([]) is None
    app.control.heartbeat()
    assert [notice.payload["method"] for notice in one.await_heard()] == ["heartbeat"]


def test_a_delayed_task_that_is_revoked_is_removed(app):
    sent = app.send_task("add", countdown=600)
    app.control.revoke(sent)
    assert app.broker.admin.delayed() == []


def test_what_names_no_task_cannot_be_revoked(app):
    with pytest.raises(TypeError, match="Tasks are named by their ids or results, not by 5"):
        app.control.revoke([5])


def test_purging_empties_the_queues_of_the_app(app):
    app.send_task("add")
    assert app.control.purge() == 1
    assert app.control.discard_all() == 0


@pytest.mark.parametrize("signal", ["KIL", "", 99, True, "-9"])
def test_a_signal_that_is_none_is_refused_before_anything_is_revoked(app, signal):
    for refused in (
        lambda: app.control.revoke("1", terminate=True, signal=signal),
        lambda: app.control.terminate("1", signal=signal),
        lambda: app.control.revoke_by_stamped_headers({"a": "1"}, signal=signal),
        lambda: app.AsyncResult("1").revoke(terminate=True, signal=signal or "x"),
    ):
        with pytest.raises(ValueError, match="there is no signal"):
            refused()
    assert app.broker.revoked() == {}
