from __future__ import annotations

import pytest

from umbel.app.context import Context
from umbel.message.headers import make_headers
from umbel.message.message import DELIVERIES, Message

CELERY_NAMES = [
    "id",
    "task",
    "args",
    "kwargs",
    "retries",
    "eta",
    "expires",
    "hostname",
    "logfile",
    "loglevel",
    "called_directly",
    "is_eager",
    "root_id",
    "parent_id",
    "correlation_id",
    "reply_to",
    "origin",
    "shadow",
    "group",
    "group_index",
    "taskset",
    "chord",
    "chain",
    "callbacks",
    "errbacks",
    "children",
    "delivery_info",
    "headers",
    "properties",
    "timelimit",
    "time_limit",
    "soft_time_limit",
    "ignore_result",
    "utc",
    "replaced_task_nesting",
    "stamped_headers",
    "stamps",
]


def message(**headers):
    made = make_headers("proj.add", "an-id", "(1,)", "{}", "gen1@host", headers=headers)
    return Message(headers=made, body=b"", queue="slow", priority=3, properties={"GroupId": "g"})


@pytest.mark.parametrize("name", CELERY_NAMES)
def test_every_name_is_there_without_a_call(name):
    assert hasattr(Context(), name)


def test_without_a_message_the_function_was_called_directly():
    context = Context()

    assert context.called_directly
    assert context.id is None
    assert context.children == []
    assert context.delivery_info is None
    assert context.properties is None
    assert context.headers is None


def test_a_message_tells_everything():
    context = Context.from_message(message(retries=2), [1], {"x": 2}, hostname="celery@here")

    assert (context.id, context.task, context.retries) == ("an-id", "proj.add", 2)
    assert (context.args, context.kwargs) == ([1], {"x": 2})
    assert context.hostname == "celery@here"
    assert not context.called_directly
    assert context.root_id == "an-id"
    assert context.correlation_id == "an-id"
    assert context.delivery_info == {
        "exchange": "",
        "routing_key": "slow",
        "priority": 3,
        "redelivered": False,
    }
    assert context.properties["GroupId"] == "g"


def test_the_senders_own_headers_are_attributes_and_stand_together():
    context = Context.from_message(message(tenant="blue", **{DELIVERIES: 1}), [], {})

    assert context.tenant == "blue"
    assert context.get("tenant") == "blue"
    assert context.get("nothing", 5) == 5
    assert context.headers == {"tenant": "blue"}
    assert context.delivery_info["redelivered"] is True


def test_limits_are_read_from_the_header():
    limited = message()
    limited.headers["timelimit"] = [30, 20]

    context = Context.from_message(limited, [], {})

    assert (context.time_limit, context.soft_time_limit) == (30, 20)


def test_everything_can_be_written():
    context = Context.from_message(message(), [], {})

    context.chain = None
    context.headers = {"x": 1}
    context.update({"tenant": "green"}, colour="red")

    assert (context.headers, context.tenant, context.colour) == ({"x": 1}, "green", "red")
    context.clear()
    assert context.id is None


def test_children_are_kept():
    context = Context()

    context.children.append("child")

    assert context.children == ["child"]
    assert Context().children == []


def test_the_options_that_make_the_call_again():
    described = message(tenant="blue", **{"x-death": [1]})
    described.headers["timelimit"] = [30, None]

    options = Context.from_message(described, [], {}).as_execution_options()

    assert options["task_id"] == "an-id"
    assert options["headers"] == {"tenant": "blue"}
    assert options["time_limit"] == 30
    assert options["origin"] == "gen1@host"


def test_a_context_shows_no_arguments():
    context = Context.from_message(message(), ["secret"], {})

    assert repr(context) == "<Context: proj.add[an-id] retries=0>"
