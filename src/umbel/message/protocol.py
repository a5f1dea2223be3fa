"""Celery's task message protocol 2 and kombu's envelope, both ways.

On every store a message is the JSON envelope that kombu's Redis transport writes: a base64 body,
the headers beside it, and the properties. ``encode`` and ``decode`` do the envelope; the body is
touched only by ``encode_body`` and ``decode_body``, so that a worker can decide about a message
before it reads the arguments. Which queue a message goes to is decided elsewhere.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from math import isfinite
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from umbel.exceptions import ContentDisallowed, DecodeError, EncodeError, InvalidTaskError
from umbel.message import legacy, serializers, tagged_json
from umbel.message.body import Content, decode_body, encode_body, read_body
from umbel.message.headers import STANDARD, isoformat, make_headers, make_id, parse_moment
from umbel.message.message import DELIVERIES, Message
from umbel.message.refusals import explain
from umbel.message.representation import represent

__all__ = [
    "Content",
    "decode",
    "decode_body",
    "encode",
    "encode_body",
    "isoformat",
    "make_headers",
    "make_id",
    "parse_moment",
    "read_message",
    "resend",
]

_JSON = serializers.JSON.content_type
#: What a body may be for it to be searched for a protocol 1 message: formats that only make data.
_LEGACY = serializers.accepted_types(["json", "msgpack"])
_SCALARS = frozenset({str, int, bool, type(None)})
_HIGHEST = 9
#: How many properties kombu writes; more are the user's own.
_PROPERTIES = 7
_NO_LIMITS = [None, None]
_SEQUENCES = (list, tuple)


class _Envelope(msgspec.Struct):
    body: str
    content_type: str | None = msgspec.field(name="content-type", default=None)
    content_encoding: str | None = msgspec.field(name="content-encoding", default=None)
    headers: dict[str, Any] | None = None
    properties: dict[str, Any] | None = None


_write_plain = msgspec.json.Encoder().encode
_read_plain = msgspec.json.Decoder(_Envelope).decode


# Envelope ---------------------------------------------------------------------------------------


def encode(message: Message) -> bytes:
    """The envelope as it lies on a queue. ``EncodeError`` names a header that cannot travel."""
    if message.written is not None:
        return message.written
    headers, routing_key = message.headers, message.routing_key
    envelope = {
        "body": message.body,
        "content-encoding": message.content_encoding,
        "content-type": message.content_type,
        "headers": headers,
        "properties": {
            "correlation_id": message.correlation_id,
            "reply_to": message.reply_to or "",
            **message.properties,
            "delivery_mode": message.delivery_mode,
            "delivery_info": {
                "exchange": message.exchange,
                "routing_key": message.queue if routing_key is None else routing_key,
            },
            "priority": message.priority,
            "body_encoding": "base64",
            "delivery_tag": message.delivery_tag or make_id(),
        },
    }
    try:
        if _is_plain(headers) and (not message.properties or _is_plain(message.properties)):
            return _write_plain(envelope)  # which writes bytes as base64
    except (UnicodeEncodeError, TypeError, RecursionError):
        pass  # lone surrogates and odd keys, which kombu can write; a cycle, which nobody can
    return _encode_tagged(envelope)


def _is_plain(mapping: dict[str, Any]) -> bool:
    """Whether msgspec writes these values as kombu's JSON would: no dates, no NaN."""
    for value in mapping.values():
        kind = type(value)
        if kind in _SCALARS or (kind is list and value == _NO_LIMITS):
            continue
        if not _is_plain_part(value, kind):
            return False
    return True


def _is_plain_part(value: Any, kind: type) -> bool:
    if kind is dict:
        return not value or _is_plain(value)
    if kind is list or kind is tuple:
        return all(type(item) in _SCALARS or _is_plain_part(item, type(item)) for item in value)
    return kind is float and isfinite(value)


def _encode_tagged(envelope: dict[str, Any]) -> bytes:
    body = envelope["body"]
    envelope["body"] = b2a_base64(body, newline=False).decode("ascii")
    try:
        return tagged_json.encode(envelope)
    except Exception as error:
        for part in ("headers", "properties"):
            try:
                tagged_json.encode(envelope[part])
            except Exception as cause:
                text = explain(envelope[part], part, tagged_json.encode, "JSON", cause)
                raise EncodeError(text) from cause
        raise EncodeError(f"the message cannot be written as JSON: {error}") from error


def decode(raw: bytes, queue: str | None = None) -> Message:
    """The message in these bytes, protocol 1 turned into 2. ``queue`` is where it was found, when
    the caller knows. Raises ``DecodeError`` for what is not an envelope and ``InvalidTaskError``
    for an envelope that holds no task, each with one line that says why, and nothing else."""
    envelope = _open(raw)
    headers, properties = envelope.headers or {}, envelope.properties or {}
    take = properties.pop
    body = _decode_text(envelope.body, take("body_encoding", None))
    content_type = envelope.content_type or _JSON
    content_encoding = envelope.content_encoding or "utf-8"
    if "task" not in headers or (body[:1] == b"{" and content_type == _JSON):
        headers, body = _upgrade(headers, body, content_type, content_encoding)
    due = _check(headers)
    exchange, routing_key = _destination(take("delivery_info", None))
    priority, mode = take("priority", 0), take("delivery_mode", 2)
    if type(priority) is not int or not 0 <= priority <= _HIGHEST:
        priority = _bound_priority(priority)
    correlation_id, reply_to = take("correlation_id", None), take("reply_to", None)
    return Message(
        headers=headers,
        body=body,
        content_type=content_type,
        content_encoding=content_encoding,
        queue=queue or routing_key or "celery",
        exchange=exchange,
        routing_key=routing_key if exchange and queue and queue != routing_key else None,
        priority=priority,
        due=due,
        reply_to=None if not reply_to else str(reply_to),
        correlation_id=None if correlation_id is None else str(correlation_id),
        delivery_mode=1 if mode == 1 else 2,
        delivery_tag=str(take("delivery_tag", None) or ""),
        properties=properties,
    )


def read_message(raw: bytes, queue: str | None = None) -> tuple[Message | None, str]:
    """The message in these bytes, or None and the reason. One of many that were lent together must
    not keep the others from being seen, so this raises nothing but ``MemoryError``."""
    try:
        return decode(raw, queue), ""
    except (DecodeError, InvalidTaskError) as error:
        return None, str(error)
    except MemoryError:
        raise  # says nothing about the message
    except Exception as error:  # noqa: BLE001 - see above
        return None, f"cannot be read: {type(error).__name__}: {error}"


def _open(raw: bytes) -> _Envelope:
    try:
        envelope = _read_plain(raw)
        tagged = _may_be_tagged(envelope) and b"__type__" in raw
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        tagged = True  # NaN, lone surrogates, or nothing that can be read: the slow way tells
    if not tagged:
        return envelope
    try:
        return msgspec.convert(tagged_json.decode(raw), _Envelope)
    except (msgspec.ValidationError, ValueError) as error:  # ValueError: text that is no Unicode
        raise DecodeError(f"not a message envelope: {error}") from error


def _may_be_tagged(envelope: _Envelope) -> bool:
    """Only headers and properties of the user's own can hold dates and the like."""
    headers, properties = envelope.headers, envelope.properties
    if properties is not None and len(properties) > _PROPERTIES:
        return True
    return headers is not None and (len(headers) != STANDARD or bool(headers.get("stamps")))


def _decode_text(body: str, encoding: Any) -> bytes:
    try:
        return a2b_base64(body) if encoding == "base64" else body.encode("utf-8")
    except ValueError as error:
        raise DecodeError(f"the body is not valid {encoding or 'text'}: {error}") from error


def _destination(info: Any) -> tuple[str, str]:
    if not isinstance(info, dict):
        return "", ""
    exchange, routing_key = info.get("exchange"), info.get("routing_key")
    return (
        exchange if isinstance(exchange, str) else "",
        routing_key if isinstance(routing_key, str) else "",
    )


def _bound_priority(priority: Any) -> int:
    try:
        return max(0, min(int(priority), _HIGHEST))
    except (TypeError, ValueError, OverflowError):
        return 0


def _check(headers: dict[str, Any]) -> float | None:
    """Refuse headers that a worker could not work with; the moment before which not to run."""
    for name in ("task", "id"):
        value = headers.get(name)
        if type(value) is not str or not value:
            raise InvalidTaskError(f"the header {name!r} is {represent(value, 80)}, not a name")
        if not value.isascii():
            _check_text(name, value)
    for name in ("retries", DELIVERIES):
        value = headers.get(name)
        if type(value) is not int and value is not None:
            raise InvalidTaskError(f"the header {name!r} is {represent(value, 80)}, not a number")
    if headers.get("group") is not None:
        _make_text(headers, "group")
    if headers.get("parent_id") is not None:
        _make_text(headers, "parent_id")
    limits = headers.get("timelimit")
    if limits is not None and limits != _NO_LIMITS:
        _check_limits(limits)
    if headers.get("expires"):
        _read_moment(headers, "expires")
    return _read_moment(headers, "eta") if headers.get("eta") else None


def _make_text(headers: dict[str, Any], name: str) -> None:
    """Results are kept with these names; what a foreign sender made of them must not prevent it."""
    value = headers[name]
    if type(value) is not str:
        value = headers[name] = str(value)
    if not value.isascii():
        _check_text(name, value)


def _check_text(name: str, value: str) -> None:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:  # no store could find it under this name
        raise InvalidTaskError(f"the header {name!r} cannot be written: {error}") from error


def _check_limits(limits: Any) -> None:
    if isinstance(limits, _SEQUENCES) and len(limits) == len(_NO_LIMITS):
        for limit in limits:
            if limit is not None and type(limit) not in {int, float}:
                break
        else:
            return
    raise InvalidTaskError(
        f"the header 'timelimit' is {represent(limits, 80)}, not [hard, soft] in seconds"
    )


def _read_moment(headers: dict[str, Any], name: str) -> float:
    value = headers[name]
    try:
        moment = parse_moment(value)
        if type(value) is not str:
            headers[name] = isoformat(moment)
    except (ValueError, OverflowError) as error:
        raise InvalidTaskError(
            f"the header {name!r} is {represent(value, 80)}, not a date: {error}"
        ) from error
    return moment


def _upgrade(
    headers: dict[str, Any], body: bytes, content_type: str, content_encoding: str
) -> tuple[dict[str, Any], bytes]:
    """Headers and body of protocol 2 for a message whose body says what the task is."""
    named = "task" in headers
    try:
        content = read_body(headers, body, content_type, content_encoding, _LEGACY)
    except ContentDisallowed:
        raise InvalidTaskError(
            f"there is no task header, and a body of type {content_type!r} is not searched for one"
        ) from None
    if not isinstance(content, dict) or ("args" if named else "task") not in content:
        raise InvalidTaskError(
            "the body is a mapping without args"
            if named
            else "there is no task: neither the headers nor the body name one"
        )
    made, args, kwargs, embed = legacy.upgrade(content, headers)
    made.pop("compression", None)
    serializer = "json" if content_type == _JSON else "msgpack"
    try:
        return made, serializers.encode((args, kwargs, embed), serializer, "body")[2]
    except EncodeError as error:
        raise InvalidTaskError(f"the body cannot be written anew: {error}") from error


# Again ------------------------------------------------------------------------------------------


def resend(
    message: Message,
    *,
    headers: Mapping[str, Any] | None = None,
    due: float | UnsetType | None = UNSET,
    queue: str | None = None,
    priority: int | None = None,
    content: Content | None = None,
    properties: Mapping[str, Any] | None = None,
) -> Message:
    """The message to send for a retry or another delivery: as it was, with a new delivery tag and
    these changes. Headers are changed one by one, so unknown ones travel on. ``due=None`` means
    at once; without ``due`` its moment stays. ``content`` is what ``encode_body`` returned."""
    changed = {**message.headers, **(headers or {})}
    changes: dict[str, Any] = {"headers": changed, "delivery_tag": make_id(), "written": None}
    if due is not UNSET:
        changes["due"] = due
        changed["eta"] = None if due is None else isoformat(due)
    if queue is not None:
        changes |= {"queue": queue, "exchange": "", "routing_key": None}
    if priority is not None:
        changes["priority"] = priority
    if properties:
        changes["properties"] = {**message.properties, **properties}
    if content is not None:
        changes |= zip(("body", "content_type", "content_encoding"), content, strict=False)
        changed.pop("compression", None)
        if content[3] is not None:
            changed["compression"] = content[3]
    return replace(message, **changes)
