"""Messages of wrong shape: bytes that are none, and valid ones of which parts were changed at random."""

from __future__ import annotations

import base64
import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from hypothesis import strategies as st

from umbel.message.serializers import encode

#: What stands for something very deep, and for a long text, until it is written.
DEEP, LONG = "«deep»", "«long»"

#: Single values that are rarely thought of.
odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 2**31, 2**53 + 1, 2**64, -(2**63) - 1, 10**400, 1e308, 5e-324]),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        [
            *("", " ", "\0", "\ud800", "é", "None", "nan", "json", LONG, DEEP),
            *("1970-01-01T00:00:00", "2999-01-01T00:00:00+00:00", "0000-00-00", "soon", "celery"),
            *("sum", "no such task", "application/x-python-serialize", "application/json"),
            *("binary", "utf-8", "base64", "gzip", "application/x-gzip", "zstd"),
        ]
    ),
)
values = st.recursive(
    odd,
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(max_size=8) | st.sampled_from(["task", "id", "args"]), inner, max_size=4),
    max_leaves=5,
)  # fmt: skip
numbers = st.one_of(
    st.none(), st.integers(-3, 3), st.sampled_from([math.inf, -math.inf, math.nan, 1e300, 1e-9, 10**400])
)  # fmt: skip

HEADERS = [
    *("lang", "task", "id", "shadow", "eta", "expires", "group", "group_index", "retries"),
    *("timelimit", "root_id", "parent_id", "argsrepr", "kwargsrepr", "origin", "ignore_result"),
    *("replaced_task_nesting", "stamped_headers", "stamps", "compression", "redelivered"),
    *("children", "callbacks", "errbacks", "chain", "chord", "delivery_info", "headers", "args"),
    *("kwargs", "embed", "message", "hostname", "called_directly", "umbel-deliveries"),
    *("umbel-failed", "__class__", "__dict__", "correlation_id", "reply_to", "properties"),
]
PROPERTIES = [
    *("correlation_id", "reply_to", "delivery_mode", "delivery_info", "priority"),
    *("body_encoding", "delivery_tag", "expiration", "application_headers"),
]
PLACES = [
    *(("headers", name) for name in HEADERS),
    *(("properties", name) for name in PROPERTIES),
    *(("properties", "delivery_info", name) for name in ("exchange", "routing_key")),
    *((name,) for name in ("body", "content-encoding", "content-type", "headers", "properties")),
]
#: In the body; what follows a task is apart, since it may send further messages.
BODY_PLACES: list[tuple[Any, ...]] = [
    (),
    (0,),
    (1,),
    (2,),
    (0, 0),
    (1, "x"),
    (2, "chain"),
    (2, "chord"),
]
LINKS: list[tuple[Any, ...]] = [(2, "callbacks"), (2, "errbacks")]


def envelope(body: Any) -> dict[str, Any]:
    """A valid one."""
    task_id = str(uuid4())
    return {
        "body": base64.b64encode(write(body)).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py", "task": "sum", "id": task_id, "shadow": None, "eta": None, "expires": None,
            "group": None, "group_index": None, "retries": 0, "timelimit": [None, None],
            "root_id": task_id, "parent_id": None, "argsrepr": "(1, 2)", "kwargsrepr": "{}",
            "origin": "gen1@fuzz", "ignore_result": False, "replaced_task_nesting": 0,
            "stamped_headers": None, "stamps": {},
        },
        "properties": {
            "correlation_id": task_id, "reply_to": str(uuid4()), "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "celery"}, "priority": 0,
            "body_encoding": "base64", "delivery_tag": str(uuid4()),
        },
    }  # fmt: skip


def write(value: Any) -> bytes:
    """JSON with everything that Python writes, and something very deep in the place of ``DEEP``."""
    text = json.dumps(value)
    text = text.replace(json.dumps(DEEP), "[" * 3000 + "]" * 3000, 1)
    return text.replace(json.dumps(LONG), json.dumps("x" * 100_000), 1).encode()


def put(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    """The value with something else in this place, as far as there is such a place."""
    if not place:
        return new
    step, *rest = place
    found = value
    if isinstance(value, list):
        if not (isinstance(step, int) and step < len(value)):
            return value
        found = value[step]
    elif isinstance(value, dict):
        found = value.get(step)
    else:
        return value
    if new is Ellipsis and not rest:
        if isinstance(value, list) or step in value:
            del value[step]
    else:
        value[step] = put(found, tuple(rest), new)
    return value


special = {
    "timelimit": st.lists(numbers, min_size=2, max_size=2),
    "eta": st.floats(-5, 0.05).map(lambda s: (datetime.now(UTC) + timedelta(seconds=s)).isoformat()),
    "priority": st.integers(-2, 12),
}  # fmt: skip
signatures = st.fixed_dictionaries(
    {"task": st.sampled_from(["sum", "errback"]) | odd},
    optional={
        "args": values, "kwargs": values, "options": values, "immutable": odd, "subtask_type": odd,
    },
)  # fmt: skip


@st.composite
def changed(draw: Any, *, links: bool = False) -> bytes:
    """A valid message of which some parts were changed."""
    body: Any = [[1, 2], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
    for place in draw(st.lists(st.sampled_from(BODY_PLACES), max_size=2)):
        body = put(body, place, draw(values | st.just(...) if place else values))
    if links:
        value = st.lists(signatures | values, max_size=2) | signatures | values
        body = put(body, draw(st.sampled_from(LINKS)), draw(value))
    made = envelope(body)
    for place in draw(st.lists(st.sampled_from(PLACES), min_size=0 if links else 1, max_size=4)):
        usual = special.get(place[-1], values)
        put(made, place, draw(st.one_of(usual, values, st.just(...))))
    return write(made)


@st.composite
def legacy(draw: Any) -> bytes:
    """Of protocol 1: what the task is stands in the body."""
    content: dict[str, Any] = {
        "task": "sum",
        "id": str(uuid4()),
        "args": [1],
        "kwargs": {},
        "retries": 0,
    }
    names = [*content, "eta", "expires", "utc", "callbacks", "chord", "timelimit", "taskset"]
    for name in draw(st.lists(st.sampled_from(names), max_size=3)):
        if name == "callbacks":
            continue  # those may send further messages
        put(content, (name,), draw(values | st.just(...)))
    made = {**envelope(None), "body": base64.b64encode(write(content)).decode(), "headers": {}}
    return write(made)


pickled = st.sampled_from(["pickle", "yaml"]).map(
    lambda name: write(
        {
            **envelope(None),
            "body": base64.b64encode(encode([[1], {}, {}], name, "body")[2]).decode(),
            "content-type": f"application/x-{'python-serialize' if name == 'pickle' else 'yaml'}",
        }
    )
)
noise = st.one_of(st.binary(max_size=200), values.map(write))
#: Nothing of it makes a task send something.
anything = st.one_of(changed(), changed(), changed(), legacy(), pickled, noise)
linked = changed(links=True)
