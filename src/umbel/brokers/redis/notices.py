"""Notices as kombu writes them: the envelope of a message, for channels and for reply lists.

``write`` and ``read`` know the bytes; who gets them is decided in ``bus.py`` and ``mailbox.py``.
Only JSON is read, since nobody can be asked whether he trusts the sender of a broadcast.
"""

from __future__ import annotations

import logging
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

from umbel.brokers.bus import Notice
from umbel.exceptions import DecodeError
from umbel.message import tagged_json
from umbel.message.serializers import JSON, decode, encode
from umbel.message.tracebacks import one_line

__all__ = ["TRANSIENT", "read", "write"]

logger = logging.getLogger("umbel.broker")

#: What the delivery mode says of messages that need not be kept, and of others.
TRANSIENT: Final = 1

_ACCEPT: Final = frozenset({JSON.content_type})


def write(
    exchange: str, routing_key: str, payload: Any, headers: Mapping[str, Any] | None
) -> bytes:
    """The envelope with everything that Celery's readers ask for."""
    content_type, encoding, body = encode(payload, place="payload")
    envelope = {
        "body": b64encode(body).decode("ascii"),
        "content-encoding": encoding,
        "content-type": content_type,
        "headers": dict(headers or {}),
        "properties": {
            "delivery_mode": TRANSIENT,
            "delivery_info": {"exchange": exchange, "routing_key": routing_key},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": str(uuid4()),
        },
    }
    return encode(envelope, place="headers")[2]


def read(topic: str, raw: bytes) -> Notice | None:
    """The notice; None, with a line in the log, when the bytes are none."""
    try:
        return _read(topic, raw)
    except Exception as error:  # noqa: BLE001 - foreign bytes may be wrong in any way
        logger.warning("Left out what cannot be read on %s: %s", topic, one_line(error))
        return None


def _read(topic: str, raw: bytes) -> Notice:
    envelope = tagged_json.decode(raw)
    if not isinstance(envelope, dict):
        raise DecodeError("not an envelope")
    properties = envelope.get("properties") or {}
    body = envelope["body"]
    encoded = properties.get("body_encoding") == "base64"
    data = b64decode(body) if encoded else body.encode("utf-8")
    content_type = envelope.get("content-type") or JSON.content_type
    encoding = envelope.get("content-encoding") or "utf-8"
    payload = decode(data, content_type, encoding, _ACCEPT)
    headers = envelope.get("headers") or {}
    if not isinstance(headers, dict):
        raise DecodeError("its headers are not a mapping")
    return Notice(topic, payload, headers)
