"""The envelope and the body, compared with what real Celery wrote (``golden/``)."""

from __future__ import annotations

import json
import pickle
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from umbel.exceptions import (
    ContentDisallowed,
    DecodeError,
    EncodeError,
    InvalidTaskError,
)
from umbel.message.message import DELIVERIES, Message
from umbel.message.protocol import (
    decode,
    decode_body,
    encode,
    encode_body,
    make_headers,
    make_id,
    resend,
)
from umbel.message.serializers import accepted_types

GOLDEN = Path(__file__).parent / "golden"
SAMPLES = sorted(path.stem for path in GOLDEN.glob("*.json"))
ID = "11111111-2222-4333-8444-555555555555"
JSON = accepted_types(["json"])
NO_EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.json").read_bytes().strip()


def ordered(value: Any) -> Any:
    """Mappings as lists of pairs, so that comparing them compares the order too."""
    if isinstance(value, dict):
        return [(key, ordered(part)) for key, part in value.items()]
    return [ordered(part) for part in value] if isinstance(value, list) else value


def envelope(**changes: Any) -> dict[str, Any]:
    return json.loads(golden("plain")) | changes


def packed(content: Any) -> str:
    return b64encode(json.dumps(content).encode()).decode()


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


# Against Celery ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in SAMPLES if "protocol1" not in name])
def test_an_envelope_of_celery_is_written_again_as_it_was(name):
    raw = golden(name)
    written = encode(decode(raw))
    theirs, ours = json.loads(raw), json.loads(written)
    # kombu puts the expiration behind the delivery mode; the order of properties carries nothing.
    assert theirs.pop("properties") == ours.pop("properties")
    assert ordered(ours) == ordered(theirs)


def test_a_plain_call_is_what_celery_writes_in_its_order():
    theirs = json.loads(golden("plain"))
    body, content_type, content_encoding, compression = encode_body((2, 3), {})
    ours = Message(
        headers=make_headers(
            "proj.add", ID, "(2, 3)", "{}", theirs["headers"]["origin"], ignore_result=None
        ),
        body=body,
        content_type=content_type,
        content_encoding=content_encoding,
        correlation_id=ID,
        reply_to=theirs["properties"]["reply_to"],
        delivery_tag=theirs["properties"]["delivery_tag"],
    )
    assert compression is None
    assert ordered(json.loads(encode(ours))) == ordered(theirs)


def test_what_celery_says_about_delivery_is_understood():
    eta = decode(golden("eta"))
    assert eta.due == datetime(2030, 1, 2, 3, 4, 5, 678901, UTC).timestamp()
    assert eta.properties.keys() == {"expiration"}
    assert decode(golden("priority")).priority == 6
    assert decode(golden("queue")).queue == "mail"
    topic = decode(golden("exchange"), queue="mails")
    assert (topic.queue, topic.exchange, topic.routing_key) == ("mails", "topics", "mail.out")
    options = decode(golden("options"))
    assert options.properties == {"MessageGroupId": "g"}
    assert options.headers["timelimit"] == [30, 20.5]
    headers = decode(golden("headers")).headers
    assert headers["seen"] == datetime(2026, 5, 17, 10, 30, tzinfo=UTC)
    assert headers["deep"] == {"k": [1, None]}
    plain = decode(golden("plain"))
    assert (plain.id, plain.task, plain.retries, plain.deliveries) == (ID, "proj.add", 0, 0)
    assert (plain.correlation_id, plain.delivery_mode, plain.due) == (ID, 2, None)


# Protocol 1 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in SAMPLES if "protocol1" in name])
def test_a_message_of_protocol_1_becomes_one_of_protocol_2(name):
    old, new = decode(golden(name)), decode(golden(name.removesuffix("_protocol1")))
    differing = {"origin", "argsrepr", "kwargsrepr", "ignore_result", "compression"}
    kept = {key: part for key, part in new.headers.items() if key not in differing}
    assert {key: part for key, part in old.headers.items() if key not in differing} == kept
    assert list(old.headers)[:19] == list(new.headers)[:19]
    assert "compression" not in old.headers
    assert decode_body(old, JSON) == decode_body(new, JSON)
    assert (old.due, old.queue, old.priority) == (new.due, new.queue, new.priority)
    assert decode(encode(old)) == old


def test_a_hybrid_takes_what_its_headers_lack_from_its_body():
    content = {"args": [1], "kwargs": {"a": 2}, "retries": 3, "timelimit": [9, 8], "own": "x"}
    content |= {"callbacks": [{"task": "t"}], "eta": "2030-01-01T00:00:00"}
    raw = envelope(body=packed(content), headers={"task": "t", "id": "i", "retries": 4})
    message = decode(json.dumps(raw).encode())
    assert (message.task, message.id, message.retries) == ("t", "i", 4)
    assert message.headers["timelimit"] == [9, 8]
    assert message.headers["own"] == "x"
    assert message.due == datetime(2030, 1, 1, tzinfo=UTC).timestamp()
    assert decode_body(message, JSON) == ([1], {"a": 2}, NO_EMBED | {"callbacks": [{"task": "t"}]})


def test_protocol_1_in_msgpack_is_read_and_stays_msgpack():
    body = msgspec.msgpack.encode({"task": "t", "id": "i", "args": [b"\xff"], "kwargs": {}})
    raw = envelope(body=b64encode(body).decode(), headers=None)
    raw["content-type"], raw["content-encoding"] = "application/x-msgpack", "binary"
    message = decode(json.dumps(raw).encode())
    assert decode_body(message, accepted_types(["msgpack"]))[0] == [b"\xff"]
    with pytest.raises(ContentDisallowed):
        decode_body(message, JSON)


def test_a_pickled_body_is_never_opened_in_search_of_a_task(tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "proof",)

    raw = envelope(body=b64encode(pickle.dumps(Trap())).decode(), headers={})
    raw["content-type"] = "application/x-python-serialize"
    with pytest.raises(InvalidTaskError, match="not searched for one"):
        decode(json.dumps(raw).encode())
    assert not (tmp_path / "proof").exists()


# What others send -------------------------------------------------------------------------------


def test_the_least_that_a_foreign_client_sends_is_enough():
    message = decode(b'{"body": "[[1], {}, {}]", "headers": {"task": "t", "id": "i"}}')
    assert (message.task, message.id, message.queue, message.due) == ("t", "i", "celery", None)
    assert (message.priority, message.delivery_mode, message.exchange) == (0, 2, "")
    assert (message.reply_to, message.correlation_id, message.retries) == (None, None, 0)
    assert decode_body(message, JSON) == ([1], {}, NO_EMBED)
    assert json.loads(encode(message))["properties"]["delivery_tag"]


@pytest.mark.parametrize(
    ("sent", "read"),
    [(3, 3), ("7", 7), (2.9, 2), (None, 0), ("high", 0), (99, 9), (-5, 0), ([], 0), (True, 1),
     (1e999, 0)],
)  # fmt: skip
def test_the_priority_is_a_number_from_0_to_9(sent, read):
    properties = envelope()["properties"] | {"priority": sent}
    assert decode(json.dumps(envelope(properties=properties)).encode()).priority == read


@pytest.mark.parametrize(
    "eta", ["2030-01-01T00:00:00Z", "2030-01-01T00:00:00", "2030-01-01T05:00:00+05:00"]
)
def test_an_eta_is_read_in_every_form(eta):
    headers = envelope()["headers"] | {"eta": eta}
    message = decode(json.dumps(envelope(headers=headers)).encode())
    assert message.due == datetime(2030, 1, 1, tzinfo=UTC).timestamp()
    assert message.headers["eta"] == eta


def test_a_tagged_date_as_eta_is_read_and_written_as_text():
    tag = {"__type__": "datetime", "__value__": "2030-01-01T00:00:00+00:00"}
    headers = envelope()["headers"] | {"eta": tag, "own": 1}
    message = decode(json.dumps(envelope(headers=headers)).encode())
    assert message.headers["eta"] == "2030-01-01T00:00:00+00:00"


def test_odd_json_numbers_and_surrogates_in_headers_survive():
    raw = golden("plain").replace(b'"stamps": {}', b'"stamps": {}, "n": NaN, "s": "\\ud800"')
    headers = decode(raw).headers
    assert headers["s"] == "\ud800"
    assert headers["n"] != headers["n"]
    again = decode(encode(decode(raw))).headers
    assert again["s"] == "\ud800"


def test_the_wire_name_of_a_queue_yields_to_where_the_message_was_found():
    assert decode(golden("plain"), queue="other").queue == "other"
    assert decode(golden("plain"), queue="other").routing_key is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"headers": {}}, "neither the headers nor the body name one"),
        ({"headers": {}, "body": packed({"id": "i"})}, "neither the headers nor the body"),
        ({"headers": {"task": "t"}}, "the header 'id' is None"),
        ({"headers": {"task": 5, "id": "i"}}, "the header 'task' is 5"),
        ({"headers": {"task": "t", "id": ""}}, "the header 'id' is ''"),
        ({"headers": {"task": "t", "id": "i", "retries": "2"}}, "'retries' is '2', not a number"),
        ({"headers": {"task": "t", "id": "i", DELIVERIES: [1]}}, "'x-delivery-count' is"),
        ({"headers": {"task": "t", "id": "i", "timelimit": 5}}, "'timelimit' is 5"),
        ({"headers": {"task": "t", "id": "i", "timelimit": ["a", 1]}}, "'timelimit' is"),
        ({"headers": {"task": "t", "id": "i", "eta": "soon"}}, "'eta' is 'soon', not a date"),
        ({"headers": {"task": "t", "id": "i", "eta": 5}}, "'eta' is 5, not a date"),
        ({"headers": {"task": "t", "id": "i", "expires": "x"}}, "'expires' is 'x', not a date"),
        ({"headers": {"task": "t", "id": "i"}, "body": packed({"a": 1})}, "without args"),
        ({"headers": {}, "body": packed({"task": "t", "id": "i", "args": 5})}, "not a list"),
        ({"headers": {}, "body": packed({"task": "t", "id": "i", "kwargs": []})}, "not a mapping"),
        ({"headers": {}, "body": packed({"task": "t"})}, "the header 'id' is"),
    ],
)
def test_an_envelope_without_a_task_is_refused_with_one_line(changes, reason):
    with pytest.raises(InvalidTaskError, match=reason) as caught:
        decode(json.dumps(envelope(**changes)).encode())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not valid JSON"),
        (b"hello", "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[1, 2]", "not a message envelope"),
        (b"{}", "not a message envelope.*body"),
        (b'{"body": 5}', r"not a message envelope.*\$.body"),
        (b'{"body": "", "headers": []}', r"not a message envelope.*\$.headers"),
        (b'{"body": "a", "properties": {"body_encoding": "base64"}}', "not valid base64"),
        (b'{"body": "\xc3\xa9", "properties": {"body_encoding": "base64"}}', "not valid base64"),
        (b'{"body": "\\ud800"}', "not valid text"),
        (b'{"body": "{", "headers": {}}', "not valid JSON"),
        (b'{"body": "{}", "headers": {"compression": "odd"}}', "no compression 'odd'"),
        (b'{"body": "{}", "headers": {"compression": ["gzip"]}}', "no compression"),
    ],
)
def test_what_is_not_an_envelope_is_refused_with_one_line(raw, reason):
    with pytest.raises(DecodeError, match=reason) as caught:
        decode(raw)
    assert "\n" not in str(caught.value)


def test_an_exchange_and_routing_key_are_written_as_given():
    message = msgspec.structs.replace(call(), queue="q", exchange="e", routing_key="r.k")
    info = json.loads(encode(message))["properties"]["delivery_info"]
    assert info == {"exchange": "e", "routing_key": "r.k"}


def test_a_message_without_delivery_tag_gets_one_of_its_own():
    message = msgspec.structs.replace(call(), delivery_tag="")
    tags = {json.loads(encode(message))["properties"]["delivery_tag"] for _ in range(3)}
    assert len(tags) == 3


@pytest.mark.parametrize(
    ("headers", "properties", "place"),
    [
        ({"own": object()}, {}, r"headers\['own'\]: <class 'object'>"),
        ({"deep": {"a": [1, {2}]}}, {}, r"headers\['deep'\]\['a'\]\[1\]: <class 'set'>"),
        ({}, {"own": print}, r"properties\['own'\]"),
    ],
)
def test_a_header_that_cannot_travel_is_named(headers, properties, place):
    message = msgspec.structs.replace(call(headers=headers), properties=properties)
    with pytest.raises(EncodeError, match=place):
        encode(message)


def test_a_header_that_contains_itself_is_named():
    ring: dict[str, Any] = {}
    ring["ring"] = ring
    with pytest.raises(EncodeError, match=r"headers\['own'\].* contains itself"):
        encode(call(headers={"own": ring}))


# Again ------------------------------------------------------------------------------------------


def test_a_message_is_resent_with_its_unknown_headers_and_a_new_tag():
    message = decode(golden("headers"))
    again = resend(message, headers={"retries": 1})
    assert again.headers == message.headers | {"retries": 1}
    assert again.delivery_tag not in ("", message.delivery_tag)
    assert (again.body, again.queue, again.properties) == (
        message.body, message.queue, message.properties,
    )  # fmt: skip
    assert message.headers["retries"] == 0


def test_a_message_is_resent_for_another_moment():
    moment = datetime(2031, 1, 1, tzinfo=UTC)
    later = resend(call(), due=moment.timestamp())
    assert later.due == moment.timestamp()
    assert later.headers["eta"] == "2031-01-01T00:00:00+00:00"
    assert decode(encode(later)) == later
    assert resend(later).due == later.due
    at_once = resend(later, due=None)
    assert (at_once.due, at_once.headers["eta"]) == (None, None)


def test_a_message_is_resent_to_another_queue_past_its_exchange():
    message = decode(golden("exchange"), queue="mails")
    moved = resend(message, queue="slow", priority=0, properties={"own": 1})
    assert (moved.queue, moved.exchange, moved.routing_key) == ("slow", "", None)
    assert (moved.priority, moved.properties) == (0, {"own": 1})
    kept = resend(message)
    assert (kept.queue, kept.exchange, kept.routing_key) == ("mails", "topics", "mail.out")


def test_a_message_is_resent_with_other_arguments():
    packed_small = decode(golden("gzip"))
    again = resend(packed_small, content=encode_body((5,), {"a": timedelta(1)}))
    assert "compression" not in again.headers
    assert decode_body(again, JSON)[:2] == ([5], {"a": timedelta(1)})
    pressed = resend(again, content=encode_body((6,), {}, compression="bzip2"))
    assert pressed.headers["compression"] == "application/x-bz2"
    assert decode_body(pressed, JSON)[0] == [6]


def test_the_golden_samples_hold_no_host_name():
    for name in SAMPLES:
        sample = json.loads(golden(name))
        origin = sample["headers"].get("origin")
        assert origin is None or origin.endswith("@client")
        body = b64decode(sample["body"])
        assert b"@" not in body or sample["headers"].get("compression")
