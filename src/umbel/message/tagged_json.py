"""JSON as kombu writes it: tags for the types that JSON has no word for.

``{"__type__": t, "__value__": v}`` stands for a datetime, date, time, Decimal, UUID or bytes, and
for types added with ``register_type``. Encoding is the standard library's C encoder, byte for byte
what kombu writes; decoding is msgspec where that gives the same value, else the standard library.
"""

from __future__ import annotations

import json
import json.encoder
import re
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from umbel.exceptions import DecodeError
from umbel.message.tracebacks import one_line

__all__ = ["decode", "dumps", "encode", "register_type"]

T = TypeVar("T")

_TAG = b"__type__"
#: An escape that may hide one of the tag's characters: it is only looked for where \u00 occurs.
_ESCAPE = b"\\u00"
_HIDDEN = re.compile(rb"\\u00[567]", re.IGNORECASE)
_TAGGED = {"__type__", "__value__"}
_DURATION = {"__type__", "days", "seconds", "microseconds"}

_encoders: dict[type, Callable[[Any], Any]] = {}
_decoders: dict[str, Callable[[Any], Any]] = {}


def register_type(
    kind: type[T],
    marker: str | None,
    encoder: Callable[[T], Any],
    decoder: Callable[[Any], T] | None = None,
) -> None:
    """Let values of this type (and its subclasses) travel: ``encoder`` makes plain data of one,
    ``decoder`` makes it again on the other side, which must know the same marker. Without a
    marker the plain data itself is sent and arrives as such."""
    if marker is None:
        _encoders[kind] = encoder
        return
    _encoders[kind] = lambda value: {"__type__": marker, "__value__": encoder(value)}
    _decoders[marker] = decoder or (lambda data: data)


def encode(value: Any) -> bytes:
    """JSON in ASCII bytes. Raises whatever the C encoder raises; ``serializers.encode`` turns
    that into an ``EncodeError`` that names the place."""
    return dumps(value).encode("ascii")


def decode(data: bytes) -> Any:
    """The value, with tags resolved. Raises ``DecodeError`` and nothing else."""
    if type(data) is not bytes:
        data = bytes(data)
    try:
        if _TAG not in data and (_ESCAPE not in data or _HIDDEN.search(data) is None):
            return _decode_plain(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # NaN, huge numbers and lone surrogates are the standard library's, errors too
    try:
        return _decode_tagged(data.decode("utf-8"))
    except DecodeError:
        raise
    except Exception as error:
        raise DecodeError(f"not valid JSON: {one_line(error)}") from error


def _tag(value: Any) -> Any:
    """Called by the C encoder for a value it does not know."""
    reducer = getattr(value, "__json__", None)
    if reducer is not None:
        return reducer()
    encoder = _encoders.get(type(value))
    if encoder is not None:
        return encoder(value)
    for kind, encoder in _encoders.items():
        if isinstance(value, kind):
            return encoder(value)
    lazy = sys.modules.get("django.utils.functional")
    if lazy is not None and isinstance(value, lazy.Promise):
        return str(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _untag(mapping: dict[str, Any]) -> Any:
    marker = mapping.get("__type__")
    if marker is None:
        return mapping
    keys = mapping.keys()
    if keys == _TAGGED:
        decoder = _decoders.get(marker) if isinstance(marker, str) else None
        if decoder is None:
            raise DecodeError(f"no type is registered under the JSON tag {marker!r:.80}")
        return decoder(mapping["__value__"])
    if marker == "timedelta" and keys == _DURATION:
        return timedelta(mapping["days"], mapping["seconds"], mapping["microseconds"])
    return mapping


def _encode_bytes(value: bytes) -> dict[str, str]:
    try:
        return {"__type__": "bytes", "__value__": value.decode("utf-8")}
    except UnicodeDecodeError:
        return {"__type__": "base64", "__value__": b64encode(value).decode("ascii")}


def _encode_duration(value: timedelta) -> dict[str, Any]:
    """kombu has no tag for durations. This one lacks ``__value__``, so readers that do not know
    it pass it through as the plain mapping that ``timedelta(**...)`` would take."""
    return {
        "__type__": "timedelta",
        "days": value.days,
        "seconds": value.seconds,
        "microseconds": value.microseconds,
    }


def _build_dumps() -> Callable[[Any], str]:
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # other implementations of Python
        return json.JSONEncoder(default=_tag, check_circular=False).encode
    quote = json.encoder.encode_basestring_ascii
    # Made once: JSONEncoder.encode would make it anew for every call. Without the table of open
    # containers a cycle ends as RecursionError, which refusals.explain tells from mere depth.
    encoder = make(None, _tag, quote, None, ": ", ", ", False, False, True)
    return lambda value: "".join(encoder(value, 0))


dumps = _build_dumps()
_decode_plain = msgspec.json.Decoder().decode
_decode_tagged = json.JSONDecoder(object_hook=_untag).decode

# datetime before date: a datetime is also a date.
register_type(datetime, "datetime", datetime.isoformat, datetime.fromisoformat)
register_type(date, "date", date.isoformat, lambda text: datetime.fromisoformat(text).date())
register_type(time, "time", time.isoformat, time.fromisoformat)
register_type(Decimal, "decimal", str, Decimal)
register_type(UUID, "uuid", lambda value: {"hex": value.hex}, lambda data: UUID(**data))
_encoders[bytes] = _encode_bytes
_encoders[timedelta] = _encode_duration
_decoders["bytes"] = lambda text: text.encode("utf-8")
_decoders["base64"] = lambda text: b64decode(text.encode("utf-8"))
