"""Whatever is told to a worker from afar, it goes on, and says what was wrong with what it was asked."""

from __future__ import annotations

import inspect
import logging
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.apps.fuzzed import make_app
from tests.fuzz.shapes import odd, values, write
from tests.fuzz.test_task_messages import FUZZ, LIMIT, STORES

from umbel.exceptions import UmbelError
from umbel.testing.worker import start_worker
from umbel.worker.commands.registry import COMMANDS

TOPIC = "celery.pidbox"
#: It would end the worker, as it should.
ENDING = {"shutdown"}
METHODS = sorted(COMMANDS.keys() - ENDING)
ARGUMENTS = [
    *("task_id", "task_ids", "ids", "signal", "terminate", "task_name", "rate_limit", "soft", "hard", "queue"),
    *("exchange", "routing_key", "exchange_type", "options", "n", "max", "min", "modules", "reload"),
    *("headers", "from_node", "revoked", "taskinfoitems", "builtins", "safe", "samples", "num", "type"),
    *("max_depth", "with_defaults", "topic", "id", "state"),
]  # fmt: skip

arguments = st.dictionaries(st.sampled_from(ARGUMENTS), values, max_size=4)
requests = st.fixed_dictionaries(
    {"method": st.sampled_from(METHODS) | odd},
    optional={
        "arguments": arguments | values,
        "destination": values,
        "pattern": odd | st.sampled_from(["*", "(", "[", "(a+)+$"]),
        "matcher": odd | st.sampled_from(["pcre", "glob"]),
        "reply_to": values | st.fixed_dictionaries({"exchange": odd, "routing_key": odd}),
        "ticket": values,
    },
)


def call_of(method):
    """A call with the arguments that the command takes, and perhaps others."""
    taken = list(inspect.signature(COMMANDS[method].run).parameters.values())[1:]
    named = [one for one in taken if one.kind is not one.VAR_KEYWORD]
    needed = {one.name: values for one in named if one.default is one.empty}
    other = {one.name: values for one in named if one.name not in needed}
    filled = st.fixed_dictionaries(needed, optional=other)
    return st.tuples(st.just(method), filled | arguments)


calls = st.sampled_from(METHODS).flatmap(call_of)


@pytest.fixture(params=STORES)
def url(request, tmp_path):
    if request.param == "redis":
        return request.getfixturevalue("redis_url")
    return f"memory://{uuid4().hex}" if request.param == "memory" else f"sqlite:///{tmp_path}/u.db"


@pytest.fixture(autouse=True)
def quiet():
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(before)


def tell(app, payload, headers):
    """As far as it can be told at all."""
    try:
        app.broker.bus.publish(TOPIC, payload, headers)
    except (UmbelError, ValueError, TypeError, RecursionError):
        return False
    return True


def tell_raw(app, data):
    """Bytes, where the bus is a channel."""
    if app.conf.broker_url.startswith("redis"):
        app.broker.pool.call("PUBLISH", f"/0.{TOPIC}", data)


def is_well(app, running):
    """It answers, and runs tasks of the queue that it had."""
    [reply] = app.control.ping(timeout=LIMIT, limit=1)
    assert reply == {running.hostname: {"ok": "pong"}}
    app.control.add_consumer("celery", reply=True, timeout=LIMIT, limit=1)
    assert app.tasks["healthy"].delay().get(timeout=LIMIT) == "well"


def play(url, check):
    app = make_app(url)
    with start_worker(app, 2, "threads") as running:
        is_well(app, running)
        check(app, running)
        is_well(app, running)
        assert running.worker.ready()
    app.close()


def test_what_is_told_in_any_shape_leaves_the_worker_well(url):
    def check(app, running):
        @FUZZ
        @given(st.lists(st.tuples(requests | values, arguments), min_size=10, max_size=20))
        def fuzz(told):
            for payload, headers in told:
                tell(app, payload, headers)
                tell_raw(app, write(payload))
                tell_raw(app, write({"body": write(payload).decode(), **headers}))
            is_well(app, running)

        fuzz()

    play(url, check)


def test_every_command_answers_whatever_it_is_given(url):
    def check(app, running):
        @FUZZ
        @given(st.lists(calls, min_size=10, max_size=20))
        def fuzz(asked):
            for method, named in asked:
                try:
                    replies = app.control.broadcast(
                        method, arguments=named, reply=True, timeout=LIMIT, limit=1
                    )
                except (UmbelError, ValueError, TypeError):  # it cannot be written
                    continue
                assert replies, (method, named)
            is_well(app, running)

        fuzz()

    play(url, check)


def test_a_command_that_does_not_exist_is_an_error_that_knows_better(url):
    def check(app, running):
        [reply] = app.control.broadcast("pong", reply=True, timeout=LIMIT, limit=1)
        error = reply[running.hostname]["error"]
        assert "there is no command 'pong'" in error
        assert "ping" in error
        [reply] = app.control.broadcast(
            "rate_limit", {"task_name": "sum"}, reply=True, timeout=LIMIT, limit=1
        )
        assert "rate_limit" in reply[running.hostname]["error"]

    play(url, check)


def test_text_that_is_no_unicode_reaches_no_queue(url):
    """A queue of such a name could be read on no broker: the worker would read none at all."""

    def check(app, running):
        told = {"method": "add_consumer", "arguments": {"queue": "\ud800"}}
        tell(app, told, {})
        tell_raw(app, write({"body": write(told).decode(), "headers": {}}))
        is_well(app, running)
        assert "\ud800" not in running.worker.remote.state.queues

    play(url, check)
