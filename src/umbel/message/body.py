"""The body of a task message: ``[args, kwargs, embed]``, serialized and perhaps compressed.

``embed`` is what follows the task: callbacks, errbacks, the rest of a chain, the body of a chord.
Everything here touches the user's values and may be slow; what is decided about a message before
its arguments are read is in ``protocol.py``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from umbel.exceptions import EncodeError, InvalidTaskError
from umbel.message import compression as compressors
from umbel.message import legacy, serializers, tagged_json
from umbel.message.message import Message
from umbel.message.representation import represent

__all__ = ["NO_EMBED", "Content", "decode_body", "encode_body", "read_body"]

#: Body, content type, content encoding, ``compression`` header.
Content = tuple[bytes, str, str, str | None]

_PARTS = 3
# A tuple: "list | tuple" inside a function would be made anew at every call.
_SEQUENCES = (list, tuple)
#: What nothing follows.
NO_EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
_NO_EMBED_JSON = tagged_json.dumps(NO_EMBED)


def encode_body(
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    embed: Mapping[str, Any] | None = None,
    serializer: str = "json",
    compression: str | None = None,
) -> Content:
    """Body, content type, content encoding, and the ``compression`` header or None.
    ``EncodeError`` names the argument that cannot be serialized, such as ``args[1]['user']``."""
    if not isinstance(args, _SEQUENCES):
        raise EncodeError(f"args must be a list or tuple, not {type(args).__name__}")
    if type(kwargs) is not dict:
        kwargs = _plain_mapping(kwargs)
    chosen = serializers.find(serializer)
    if chosen is serializers.JSON and embed is None:
        body = _encode_call(args, kwargs)
    else:
        body = _encode_parts(args, kwargs, NO_EMBED if embed is None else embed, serializer)
    header = None
    if compression:
        body, header = compressors.compress(body, compression)
    return body, chosen.content_type, chosen.content_encoding, header


def _plain_mapping(kwargs: Any) -> dict[str, Any]:
    if not isinstance(kwargs, Mapping):
        raise EncodeError(f"kwargs must be a mapping, not {type(kwargs).__name__}")
    return dict(kwargs)


def _encode_call(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes:
    """The common case: JSON without callbacks, byte for byte what Celery writes."""
    write = tagged_json.dumps
    try:
        text = f"[{write(args)}, {write(kwargs) if kwargs else '{}'}, {_NO_EMBED_JSON}]"
    except Exception:  # noqa: BLE001 - the general way meets the same error and explains it
        return _encode_parts(args, kwargs, NO_EMBED, "json")
    return text.encode("ascii")


def _encode_parts(
    args: Sequence[Any], kwargs: Mapping[str, Any], embed: Mapping[str, Any], serializer: str
) -> bytes:
    try:
        return serializers.encode((args, kwargs, embed), serializer, "body")[2]
    except EncodeError:
        for place, part in (("args", args), ("kwargs", kwargs), ("embed", embed)):
            serializers.encode(part, serializer, place)
        raise


def decode_body(
    message: Message, accept: Collection[str]
) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    """Args, kwargs and embed. ``accept`` comes from ``serializers.accepted_types``. Raises
    ``ContentDisallowed``, ``DecodeError`` or ``InvalidTaskError``."""
    value = read_body(
        message.headers, message.body, message.content_type, message.content_encoding, accept
    )
    if isinstance(value, _SEQUENCES) and len(value) == _PARTS:
        args, kwargs, embed = value
        if isinstance(args, _SEQUENCES) and isinstance(kwargs, dict):
            if not isinstance(embed, dict) or len(embed) < len(NO_EMBED):
                embed = {**NO_EMBED, **(embed if isinstance(embed, dict) else {})}
            return args if type(args) is list else list(args), kwargs, embed
    elif isinstance(value, dict) and "args" in value:
        return legacy.split(value)
    raise InvalidTaskError(f"the body is {represent(value, 80)}, not [args, kwargs, embed]")


def read_body(
    headers: dict[str, Any],
    body: bytes,
    content_type: str,
    content_encoding: str,
    accept: Collection[str],
) -> Any:
    method = headers.get("compression")
    if method is not None:
        body = compressors.decompress(body, str(method))
    return serializers.decode(body, content_type, content_encoding, accept)
