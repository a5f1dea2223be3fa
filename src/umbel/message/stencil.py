"""Envelopes of many calls that differ only in id, arguments and their representations.

Writing an envelope costs more than everything else about a call that is sent in bulk. The first one
of a batch is written as always; from it a stencil is cut, into which the parts of the others are
filled. What comes out is byte for byte what ``protocol.encode`` would have written.
"""

from __future__ import annotations

import re
from binascii import b2a_base64

import msgspec
from msgspec.structs import replace

from umbel.message.message import Message
from umbel.message.protocol import encode

__all__ = ["Stencil"]

# Nothing that JSON would escape; of no length that a real part could have by chance.
_ID, _ARGS, _KWARGS, _BODY = (
    f"<umbel:{part}:stencil>" for part in ("id", "args", "kwargs", "body")
)
_HOLES = re.compile(
    f'("{_ARGS}"|"{_KWARGS}"|{_ID}|{b2a_base64(_BODY.encode(), newline=False).decode()})'.encode()
)
_quote = msgspec.json.Encoder().encode


class Stencil:
    """Cut from a message whose ids are its own: root, correlation and delivery tag are the id."""

    __slots__ = ("_args", "_body", "_ids", "_kwargs", "_parts")

    def __init__(self, message: Message) -> None:
        headers = {**message.headers, "id": _ID, "argsrepr": _ARGS, "kwargsrepr": _KWARGS}
        if headers["root_id"] == message.id:
            headers["root_id"] = _ID
        own = replace(message, headers=headers, body=_BODY.encode(), delivery_tag=_ID, written=None)
        if message.correlation_id == message.id:
            own = replace(own, correlation_id=_ID)
        self._parts = _HOLES.split(encode(own))
        found: dict[bytes, list[int]] = {}
        for place in range(1, len(self._parts), 2):
            found.setdefault(self._parts[place], []).append(place)
        self._ids = found[_ID.encode()]
        [self._args] = found[f'"{_ARGS}"'.encode()]
        [self._kwargs] = found[f'"{_KWARGS}"'.encode()]
        [self._body] = (place for place in range(1, len(self._parts), 2) if self._is_body(place))

    def _is_body(self, place: int) -> bool:
        return place not in (*self._ids, self._args, self._kwargs)

    def write(self, task_id: str, body: bytes, argsrepr: str, kwargsrepr: str) -> bytes:
        """The envelope of one call. ``UnicodeEncodeError`` for a representation with lone
        surrogates: write that message the usual way."""
        parts = self._parts.copy()
        written = task_id.encode()
        for place in self._ids:
            parts[place] = written
        parts[self._args] = _quote(argsrepr)
        parts[self._kwargs] = _quote(kwargsrepr)
        parts[self._body] = b2a_base64(body, newline=False)
        return b"".join(parts)
