"""Bodies: arguments through every serializer and compression, and Celery's bytes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID

import msgspec
import pytest

from umbel.exceptions import (
    ContentDisallowed,
    EncodeError,
    ImproperlyConfigured,
    InvalidTaskError,
)
from umbel.message.message import Message
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


@pytest.mark.parametrize(
    "name", ["plain", "rich", "chain", "chord", "links", "group", "gzip", "bzip2", "pickle"]
)
def test_a_body_is_byte_for_byte_what_celery_writes(name):
    message = decode(golden(name))
    args, kwargs, embed = decode_body(message, accepted_types(["json", "pickle"]))
    serializer = "pickle" if name == "pickle" else "json"
    if name == "pickle":
        args = tuple(args)
    written = encode_body(args, kwargs, embed, serializer, message.headers.get("compression"))
    assert written == (
        message.body,
        message.content_type,
        message.content_encoding,
        message.headers.get("compression"),
    )


def test_rich_arguments_of_celery_arrive_with_their_types():
    args, kwargs, embed = decode_body(decode(golden("rich")), JSON)
    assert args == [1, None]
    assert embed == NO_EMBED
    assert kwargs["moment"] == datetime(2026, 5, 17, 10, 30, tzinfo=UTC)
    assert (kwargs["price"], kwargs["key"]) == (Decimal("9.90"), UUID(int=7))
    assert (kwargs["text"], kwargs["blob"], kwargs["name"]) == (b"plain", b"\xff\x00", "Zoë ☃")


def test_pickled_arguments_are_read_only_where_that_is_accepted():
    message = decode(golden("pickle"))
    assert decode_body(message, accepted_types(["pickle"])) == ([2, 3], {}, NO_EMBED)
    with pytest.raises(ContentDisallowed):
        decode_body(message, JSON)


@pytest.mark.parametrize("compression", ["gzip", "bzip2", "lzma"])
@pytest.mark.parametrize("serializer", ["json", "yaml", "pickle", "msgpack"])
def test_a_body_comes_back_through_every_serializer_and_compression(serializer, compression):
    embed = NO_EMBED | {"chain": [{"task": "t"}]}
    body, kind, encoding, header = encode_body([1], {"a": "é"}, embed, serializer, compression)
    message = msgspec.structs.replace(
        call(headers={"compression": header}),
        body=body,
        content_type=kind,
        content_encoding=encoding,
    )
    message = decode(encode(message))
    assert decode_body(message, accepted_types([serializer])) == ([1], {"a": "é"}, embed)


@pytest.mark.parametrize(
    ("args", "kwargs", "embed", "place"),
    [
        ((1, {"user": object()}), {}, None, r"args\[1\]\['user'\]: <class 'object'>"),
        ((1,), {"user": {1}}, None, r"kwargs\['user'\]: <class 'set'>"),
        ((1,), {}, {"callbacks": [{"task": print}]}, r"embed\['callbacks'\]\[0\]\['task'\]"),
        ("ab", {}, None, "args must be a list or tuple, not str"),
        ((), [1], None, "kwargs must be a mapping, not list"),
    ],
)
def test_an_argument_that_cannot_be_serialized_is_named(args, kwargs, embed, place):
    for serializer in ("json", "msgpack"):
        if serializer == "msgpack" and isinstance(kwargs, dict) and "user" in kwargs:
            continue  # msgpack writes a set as a list
        with pytest.raises(EncodeError, match=place):
            encode_body(args, kwargs, embed, serializer)


def test_any_mapping_is_taken_as_keyword_arguments():
    body = encode_body([], MappingProxyType({"a": 1}))[0]
    assert json.loads(body)[1] == {"a": 1}


def test_unknown_serializers_and_compressions_are_refused_at_the_call():
    with pytest.raises(ImproperlyConfigured, match="serializer 'jason'"):
        encode_body((), {}, serializer="jason")
    with pytest.raises(ImproperlyConfigured, match="compression 'gzzip'"):
        encode_body((), {}, compression="gzzip")


@pytest.mark.parametrize("content", [[], [1, 2, 3], [[], {}], "text", 5, {"a": 1}, [[], [], {}]])
def test_a_body_of_another_shape_is_refused(content):
    message = msgspec.structs.replace(call(), body=json.dumps(content).encode())
    with pytest.raises(InvalidTaskError, match=r"not \[args, kwargs, embed\]"):
        decode_body(message, JSON)
