"""What a node hears of remote control, what it makes of it, and what it replies."""

from __future__ import annotations

import logging
import threading
from contextlib import closing

import pytest
from msgspec.structs import replace

from umbel.app.deployment import worker_values
from umbel.brokers.bus import Notice
from umbel.events.emitter import Emitter
from umbel.message.serializers import accepted_types
from umbel.remote import control_command, inspect_command
from umbel.worker.commands import state as state_module
from umbel.worker.commands.registry import COMMANDS
from umbel.worker.options import WorkerOptions
from umbel.worker.pools import kinds
from umbel.worker.worker import Worker

TOPIC = "celery.pidbox"


@pytest.fixture
def remote(app):
    """Of a solo node that does not run: it has heard nothing but what a test lets it hear."""
    app.task(name="known")(lambda: None)
    values = worker_values(app, pool="solo", hostname="node@here", queues=["celery", "other"])
    return Worker(WorkerOptions(**values), Emitter()).remote


@pytest.fixture
def told(app, remote):
    """``told(request)``: what a node answers to whoever waits at the mailbox."""

    def tell(request):
        bus = remote.bus
        with closing(bus.open_mailbox("reply.celery.pidbox/me")) as mailbox:
            request = {
                "ticket": "t",
                "reply_to": {"exchange": "reply.celery.pidbox", "routing_key": "me"},
                **request,
            }
            remote.deal_with(Notice(TOPIC, request, {"clock": 7}))
            return [(notice.payload, notice.headers) for notice in mailbox.take()]

    return tell


@pytest.fixture
def command():
    """Registers commands for one test."""
    before = dict(COMMANDS)
    yield control_command
    COMMANDS.clear()
    COMMANDS.update(before)


def test_a_reply_carries_the_node_the_ticket_and_a_clock_that_has_moved_on(told):
    [(payload, headers)] = told({"method": "ping", "arguments": {}})

    assert payload == {"node@here": {"ok": "pong"}}
    assert headers["ticket"] == "t"
    assert headers["clock"] > 7


@pytest.mark.parametrize(
    ("audience", "meant"),
    [
        ({}, True),
        ({"destination": ["node@here"]}, True),
        ({"destination": ["other@here", "node@here"]}, True),
        ({"destination": "node@here"}, True),
        ({"destination": ["other@here"]}, False),
        ({"destination": []}, True),
        ({"destination": 5}, False),
        ({"pattern": "node@*"}, True),
        ({"pattern": "n?de@here", "matcher": "glob"}, True),
        ({"pattern": "other*"}, False),
        ({"pattern": "node@h.+", "matcher": "pcre"}, True),
        ({"pattern": "(", "matcher": "pcre"}, False),
        ({"pattern": 5}, False),
    ],
)
def test_only_those_who_are_meant_answer(told, audience, meant):
    assert bool(told({"method": "ping", **audience})) is meant


@pytest.mark.parametrize(
    ("request_of", "says"),
    [
        ({"method": "pong"}, "there is no command 'pong'; did you mean 'ping'?"),
        ({"method": None}, "there is no command 'None'"),
        ({"method": ["ping"]}, "there is no command"),
        ({"method": "ping", "arguments": ["x"]}, "the arguments of ping have to be named"),
        ({"method": "ping", "arguments": {"x": 1}}, "ping: got an unexpected keyword argument 'x'"),
        ({"method": "revoke", "arguments": {}}, "missing a required argument: 'task_id'"),
        ({"method": "revoke", "arguments": {"task_id": 5}}, "task_id has to be an id"),
        (
            {"method": "terminate", "arguments": {"signal": "SIGWHAT", "task_id": "a"}},
            "no signal 'SIGWHAT'",
        ),
        ({"method": "add_consumer", "arguments": {"queue": ""}}, "no queue is named"),
    ],
)
def test_what_cannot_be_done_is_said(told, request_of, says):
    [(payload, _)] = told(request_of)

    assert says in payload["node@here"]["error"]


@pytest.mark.parametrize(
    "payload", [None, 5, "ping", ["ping"], {}, {"method": "ping", "reply_to": 3}]
)
def test_what_is_no_request_is_passed_over(remote, payload, caplog):
    remote.deal_with(Notice(TOPIC, payload, {}))

    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]


def test_a_command_of_the_project_is_obeyed_and_its_error_is_told(told, command, caplog):
    @command(args=[("level", str)], signature="<level>")
    def adjust(state, level):
        """Turn a knob."""
        if level == "bad":
            raise ValueError("no such level")
        return {"ok": f"{state.hostname} at {level}"}

    [(payload, _)] = told({"method": "adjust", "arguments": {"level": "high"}})
    assert payload["node@here"] == {"ok": "node@here at high"}
    [(payload, _)] = told({"method": "adjust", "arguments": {"level": "bad"}})
    assert payload["node@here"] == {"error": "ValueError: no such level"}
    assert COMMANDS["adjust"].help == "Turn a knob."
    assert "The command adjust failed" in caplog.text


def test_a_command_needs_no_options_and_unknown_ones_are_refused(command):
    @inspect_command
    def depth(_state):
        return 3

    assert COMMANDS["depth"].type == "inspect"
    with pytest.raises(TypeError, match="'signatur'"):
        control_command(signatur="<x>")(lambda _state: None)


def test_a_revocation_outlives_the_node(told, app):
    [(payload, _)] = told({"method": "revoke", "arguments": {"task_id": ["a", "b"]}})

    assert payload["node@here"] == {"ok": "tasks a, b flagged as revoked"}
    assert set(app.broker.revoked()) == {"a", "b"}


def test_masked_arguments_stay_masked(told, app):
    app.send_task("known", args=("secret",), countdown=60, argsrepr="('***',)")
    app.send_task("known", args=("open",), countdown=61)
    [(payload, _)] = told({"method": "scheduled"})

    shown = [one["request"]["args"] for one in payload["node@here"]]
    assert shown == ["('***',)", ["open"]]


@pytest.mark.parametrize(
    "method",
    ["stats", "conf", "report", "registered", "active_queues", "clock", "memsample", "revoked"],
)
def test_what_a_node_tells_of_itself_has_the_form_of_celery(told, method):
    [(payload, _)] = told({"method": method})
    reply = payload["node@here"]

    expected = {
        "stats": lambda: (
            {"total", "pid", "clock", "uptime", "pool", "broker", "rusage"} <= {*reply}
        ),
        "conf": lambda: "broker_url" in reply,
        "report": lambda: "umbel" in reply["ok"],
        "registered": lambda: "known" in reply,
        "active_queues": lambda: [one["name"] for one in reply] == ["celery", "other"],
        "clock": lambda: reply["clock"] >= 0,
        "memsample": lambda: all(value > 1 for value in reply.values()),
        "revoked": lambda: reply == [],
    }
    assert expected[method]()


class _Odd:
    def __repr__(self):
        return "Odd"


def test_arguments_that_json_cannot_say_are_told_as_text_and_keep_no_reply(app, remote, told):
    app.conf.accept_content = ["json", "pickle"]
    accept = accepted_types(app.conf.accept_content)
    remote.state.worker.options = replace(remote.state.worker.options, accept=accept)
    app.send_task("known", (_Odd(),), countdown=60, serializer="pickle")
    app.send_task("known", (1,), countdown=61, serializer="pickle")

    [(payload, _)] = told({"method": "scheduled"})
    assert [one["request"]["args"] for one in payload["node@here"]] == ["(Odd,)", [1]]


def test_a_child_that_is_forked_while_queues_change_knows_the_old_ones_or_is_told(remote):
    state = remote.state
    with remote.quiet:  # as while the supervisor forks
        thread = threading.Thread(target=state.take_from, args=(["other"],))
        thread.start()
        thread.join(0.05)
        assert list(state.worker.supervisor.options.queues) == ["celery", "other"]
    thread.join(10)
    assert state.worker.supervisor.options.queues == ("other",)


def test_signals_for_tasks_that_run_elsewhere_are_not_remembered(remote, monkeypatch):
    monkeypatch.setattr(state_module.kinds, "find", lambda _name: kinds.KINDS["prefork"])
    state = remote.state

    assert state.terminate(["a", "b"], 15) == []
    assert state.worker.ended_by == {}


def test_revoked_stamps_are_remembered_and_are_no_ids(told, app):
    request = {"method": "revoke_by_stamped_headers", "arguments": {"headers": {"order": ["7"]}}}
    [(payload, _)] = told(request)

    assert payload["node@here"] == {"ok": "tasks with stamp:order=7 flagged as revoked"}
    assert list(app.broker.revoked()) == ["stamp:order=7"]
    [(payload, _)] = told({"method": "revoked"})
    assert payload["node@here"] == []
    [(payload, _)] = told({"method": "revoke_by_stamped_headers", "arguments": {"headers": 5}})
    assert "mapping of stamps" in payload["node@here"]["error"]
