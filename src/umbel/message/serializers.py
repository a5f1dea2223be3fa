"""Values to bytes and back, by the name of a serializer or by content type.

Names and content types are kombu's. What may be decoded is decided by an accept list that every
caller hands in: pickle runs code when it is read, so it is decoded only where the list names it.
Compression and the task message protocol are elsewhere.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Collection, Iterable
from importlib import import_module
from typing import Any

import msgspec

from umbel.exceptions import ContentDisallowed, DecodeError, EncodeError, ImproperlyConfigured
from umbel.message import tagged_json
from umbel.message.refusals import explain
from umbel.message.tagged_json import register_type
from umbel.message.tracebacks import one_line
from umbel.spelling import nearest

__all__ = [
    "JSON",
    "Serializer",
    "accepted_types",
    "decode",
    "encode",
    "find",
    "names",
    "prepare",
    "register",
    "register_type",
    "unregister",
]

#: What kombu uses, so that every Python that Celery supports can read it.
_PICKLE_PROTOCOL = 4
#: Every serializer takes these.
_SCALARS = frozenset({str, bool, float, type(None)})
#: Integers that every JSON library writes.
_BIG = 2**63


class Serializer(msgspec.Struct, frozen=True):
    """One way of writing values as bytes."""

    name: str
    content_type: str
    content_encoding: str
    #: None where this side can only read.
    encoder: Callable[[Any], str | bytes] | None
    #: None where this side can only write.
    decoder: Callable[[bytes], Any] | None


_by_name: dict[str, Serializer] = {}
_by_type: dict[str, Serializer] = {}


def register(
    name: str,
    encoder: Callable[[Any], str | bytes] | None,
    decoder: Callable[[bytes], Any] | None,
    content_type: str,
    content_encoding: str = "utf-8",
) -> None:
    """Make a serializer known, or replace one. Receivers must also name it in accept_content."""
    made = Serializer(name, content_type, content_encoding, encoder, decoder)
    _by_name[name] = _by_type[content_type] = made


def unregister(name: str) -> None:
    """Forget a serializer."""
    del _by_type[find(name).content_type]
    del _by_name[name]


def names() -> list[str]:
    """The known serializers, sorted."""
    return sorted(_by_name)


def find(name: str) -> Serializer:
    """The serializer of this name; ``ImproperlyConfigured`` names the nearest one."""
    found = _by_name.get(name)
    if found is None:
        known = names()
        hint = nearest(str(name), known) or f"; known are {', '.join(known)}"
        raise ImproperlyConfigured(f"there is no serializer {name!r}{hint}")
    return found


def accepted_types(names: Iterable[str]) -> frozenset[str]:
    """The content types of an accept list, which may hold names and content types."""
    if isinstance(names, str):
        raise ImproperlyConfigured(f"accept_content must be a list, not the string {names!r}")
    return frozenset(name if "/" in name else find(name).content_type for name in names)


def encode(value: Any, serializer: str = "json", place: str = "value") -> tuple[str, str, bytes]:
    """Content type, content encoding and bytes. ``EncodeError`` names the part of the value that
    is refused, starting from ``place``."""
    chosen = _by_name.get(serializer) or find(serializer)
    if chosen.encoder is None:
        raise ImproperlyConfigured(f"the serializer {serializer!r} can only read")
    try:
        payload = chosen.encoder(value)
    except ImproperlyConfigured:
        raise
    except Exception as error:
        language = "JSON" if serializer == "json" else serializer
        raise EncodeError(explain(value, place, chosen.encoder, language, error)) from error
    if isinstance(payload, str):
        payload = payload.encode("utf-8")
    return chosen.content_type, chosen.content_encoding, payload


def prepare(value: Any, serializer: str = "json", place: str = "result") -> Any:
    """The value as its reader will have it: known to be one that ``encode`` takes, and a copy, so
    that nobody can change it before it is stored. Else ``EncodeError`` as from ``encode``."""
    kind = type(value)
    if kind in _SCALARS or (kind is int and -_BIG < value < _BIG):
        return value
    payload = encode(value, serializer, place)[2]
    decoder = find(serializer).decoder
    return value if decoder is None else decoder(payload)


def decode(
    data: bytes,
    content_type: str,
    content_encoding: str,  # noqa: ARG001 - travels with the type; decoders know their own
    accept: Collection[str],
) -> Any:
    """The value. ``accept`` comes from ``accepted_types``. Raises ``ContentDisallowed`` for a type
    that is not in it, and ``DecodeError`` for everything else that is wrong."""
    chosen = _by_type.get(content_type)
    if content_type not in accept and (chosen is None or chosen.name not in accept):
        raise ContentDisallowed(_refuse(content_type, chosen))
    if chosen is None or chosen.decoder is None:
        raise DecodeError(f"no serializer can read the content type {content_type!r}")
    try:
        return chosen.decoder(data)
    except (DecodeError, ImproperlyConfigured):
        raise
    except Exception as error:
        raise DecodeError(f"not valid {chosen.name}: {one_line(error)}") from error


def _refuse(content_type: str, chosen: Serializer | None) -> str:
    if chosen is None:
        return f"content of the unknown type {content_type!r} is not in accept_content"
    return (
        f"content of type {chosen.name} ({content_type}) is not in accept_content; "
        f"add {chosen.name!r} there if every sender is trusted"
    )


def _yaml() -> Any:
    try:
        return import_module("yaml")
    except ImportError:
        raise ImproperlyConfigured(
            "the yaml serializer needs PyYAML: install umbel[yaml]"
        ) from None


def _encode_yaml(value: Any) -> str:
    yaml = _yaml()
    text: str = yaml.dump(value, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper))
    return text


def _decode_yaml(data: bytes) -> Any:
    yaml = _yaml()
    return yaml.load(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _encode_pickle(value: Any) -> bytes:
    return pickle.dumps(value, protocol=_PICKLE_PROTOCOL)


register("json", tagged_json.encode, tagged_json.decode, "application/json")
register("yaml", _encode_yaml, _decode_yaml, "application/x-yaml")
register("pickle", _encode_pickle, pickle.loads, "application/x-python-serialize", "binary")
register(
    "msgpack", msgspec.msgpack.encode, msgspec.msgpack.decode, "application/x-msgpack", "binary"
)
#: The built-in JSON, whether or not somebody replaced it in the table.
JSON = _by_name["json"]
