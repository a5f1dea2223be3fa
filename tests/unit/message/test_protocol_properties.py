"""Any message comes back equal; any bytes are a message or refused with one line."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as some

from umbel.exceptions import (
    DecodeError,
    InvalidTaskError,
)
from umbel.message import protocol
from umbel.message.message import DELIVERIES, Message
from umbel.message.protocol import (
    decode,
    decode_body,
    encode,
    encode_body,
    make_headers,
    make_id,
)
from umbel.message.serializers import accepted_types

GOLDEN = Path(__file__).parent / "golden"
ID = "11111111-2222-4333-8444-555555555555"
JSON = accepted_types(["json"])
NO_EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.json").read_bytes().strip()


def packed(content: Any) -> str:
    return b64encode(json.dumps(content).encode()).decode()


def is_one_line(error: Exception) -> bool:
    return len(str(error).splitlines()) == 1


def call(*args: Any, **options: Any) -> Message:
    body, content_type, content_encoding, _ = encode_body(args, {})
    return Message(
        headers=make_headers("proj.add", ID, "", "", "me", **options),
        body=body,
        content_type=content_type,
        content_encoding=content_encoding,
        correlation_id=ID,
        delivery_tag=make_id(),
    )


junk = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(), inner, max_size=3),
    max_leaves=6,
)
texts = some.text() | junk.map(json.dumps) | junk.map(packed)
fields = ("task", "id", "args", "kwargs", "eta", "expires", "timelimit", "taskset", "x")
calls = some.fixed_dictionaries({}, optional=dict.fromkeys(fields, junk))
named = some.just({"task": "t", "id": "i"})
headers = some.one_of(
    junk,
    some.builds(lambda one, more: one | more, named, calls),
    some.builds(
        lambda one, key, value: one | {key: value},
        named,
        some.sampled_from(["retries", "timelimit", "eta", "compression", "stamps", DELIVERIES]),
        junk | some.sampled_from(["gzip", "2030-01-01", "0001-01-01T00:00:00+23:00"]),
    ),
)
properties = junk | some.fixed_dictionaries(
    {},
    optional={
        "body_encoding": junk | some.just("base64"),
        "priority": junk,
        "delivery_info": junk | some.fixed_dictionaries({"exchange": junk, "routing_key": junk}),
        "delivery_mode": junk,
        "delivery_tag": junk,
        "correlation_id": junk,
        "reply_to": junk,
    },
)
envelopes = some.fixed_dictionaries(
    {"body": texts | calls.map(json.dumps) | calls.map(packed) | junk},
    optional={
        "headers": headers,
        "properties": properties,
        "content-type": some.sampled_from(["application/json", "application/x-msgpack", "x"])
        | junk,
        "content-encoding": junk,
    },
)


@given(
    some.binary() | junk.map(json.dumps).map(str.encode) | envelopes.map(json.dumps).map(str.encode)
)
@example(golden("rich")[:500])
def test_any_bytes_are_a_message_or_refused_with_one_line(raw):
    try:
        message = decode(raw)
    except (DecodeError, InvalidTaskError) as error:
        assert is_one_line(error)  # noqa: PT017 - both ways are right, none other is
        return
    assert message.id
    assert message.task
    again = decode(encode(message), queue=message.queue)
    assert repr(again.headers) == repr(message.headers)
    assert again.body == message.body
    try:
        args, kwargs, embed = decode_body(message, JSON)
    except (DecodeError, InvalidTaskError) as error:
        assert is_one_line(error)  # noqa: PT017 - as above
    else:
        assert (type(args), type(kwargs)) == (list, dict)
        assert embed.keys() >= NO_EMBED.keys()


@given(some.binary(max_size=60), some.sampled_from(["json", "yaml", "msgpack"]))
def test_any_body_is_arguments_or_refused(body, serializer):
    content_type = next(iter(accepted_types([serializer])))
    message = msgspec.structs.replace(call(), body=body, content_type=content_type)
    try:
        decode_body(message, {content_type})
    except (DecodeError, InvalidTaskError) as error:
        assert is_one_line(error)  # noqa: PT017 - as above


scalars = (
    some.none() | some.booleans() | some.integers() | some.text(some.characters(categories=None))
)
rich = scalars | some.floats(allow_nan=False) | some.decimals(allow_nan=False) | some.uuids()
rich |= some.binary() | some.dates() | some.times()
rich |= some.datetimes(timezones=some.just(UTC)) | some.timedeltas()
nested = some.recursive(
    rich,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(), inner, max_size=3),
    max_leaves=5,
)
own = some.dictionaries(some.text("xyz_", min_size=1), nested, max_size=4)
messages = some.builds(
    lambda own, moment, **fields: Message(
        headers=make_headers(
            "t", "i", "", "", "me", eta=None if moment is None else protocol.isoformat(moment)
        )
        | own,
        due=moment,
        **fields,
    ),
    own,
    some.none() | some.integers(0, 4 * 10**9).map(float),
    body=some.binary().map(lambda data: b"[" + data),
    queue=some.text(min_size=1),
    priority=some.integers(0, 9),
    reply_to=some.none() | some.text(min_size=1),
    correlation_id=some.none() | some.text(),
    delivery_mode=some.sampled_from([1, 2]),
    delivery_tag=some.uuids().map(str),
    properties=own,
)


@given(messages)
def test_a_message_comes_back_equal(message):
    assert decode(encode(message)) == message


@given(messages)
def test_msgspec_is_used_only_where_it_writes_what_kombu_writes(message):
    by_kombu = json.dumps(
        json.loads(protocol.tagged_json.encode({"h": message.headers, "p": message.properties}))
    )
    ours = json.loads(encode(message))
    theirs = json.loads(by_kombu)
    assert ours["headers"] == theirs["h"]
    assert {key: ours["properties"][key] for key in theirs["p"]} == theirs["p"]


@given(some.lists(nested).map(tuple), some.dictionaries(some.text(), nested))
def test_arguments_come_back_equal(args, kwargs):
    body, content_type, content_encoding, _ = encode_body(args, kwargs)
    message = msgspec.structs.replace(
        call(), body=body, content_type=content_type, content_encoding=content_encoding
    )
    assert decode_body(message, JSON) == (list(args), kwargs, NO_EMBED)
