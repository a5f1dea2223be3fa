"""Chapter ten: what nobody can read, or write, is named as a problem and hinders nothing beside it."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from umbel.brokers.base import Broker, Consumer
from umbel.testing.conformance.kind import BrokerKind, Consume
from umbel.testing.conformance.steps import QUEUE, ids, receive, reject, release
from umbel.testing.messages import message, messages

__all__ = ["UnreadableChapter"]


def _envelope(**changes: Any) -> bytes:
    """What kombu would write, with these changes; also of text that no encoding has."""
    made = {
        "body": b64encode(b"[[], {}, {}]").decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"task": "add", "id": "7"},
        "properties": {"delivery_tag": "1", "body_encoding": "base64"},
    }
    return json.dumps(made | changes).encode()


#: Each is refused at another place of reading.
_UNREADABLE = {
    "no text": b"\xff\x00 not a message",
    "no envelope": b'{"body": 1, "headers": []}',
    "too deep": b"[" * 100_000,
    "headers that are half a character": _envelope(headers="\ud800"),
    "body of half a character": _envelope(body="\ud800"),
    "task of half a character": _envelope(headers={"task": "\ud800", "id": "7"}),
    "id of half a character": _envelope(headers={"task": "add", "id": "\ud800"}),
    "no task": _envelope(headers={"id": "7"}),
}


class UnreadableChapter(BrokerKind):
    """Foreign bytes on a queue, and foreign text in a settlement."""

    @pytest.fixture(params=list(_UNREADABLE.values()), ids=list(_UNREADABLE))
    def unreadable(self, request: pytest.FixtureRequest) -> bytes:
        """Bytes that are no message."""
        raw: bytes = request.param
        return raw

    def test_whatever_cannot_be_read_is_lent_and_dead_lettered_beside_the_others(
        self, broker: Broker, consumer: Consumer, unreadable: bytes
    ) -> None:
        first, last = messages(2)
        broker.publish([first])
        self.put_raw(broker, QUEUE, unreadable)
        broker.publish([last])
        deliveries = receive(consumer, 3)
        assert ids(deliveries) == [first.id, last.id]
        (scrap,) = [one for one in deliveries if one.message is None]
        assert (scrap.queue, scrap.raw) == (QUEUE, unreadable)
        assert scrap.problem
        reject(consumer, scrap, reason=scrap.problem)
        assert [letter.raw for letter in broker.admin.dead()] == [unreadable]
        assert ids(consumer.lent()) == [first.id, last.id]

    def test_whatever_cannot_be_read_does_not_hinder_the_rescue_of_the_others(
        self, broker: Broker, second_broker: Broker, consume: Consume, unreadable: bytes
    ) -> None:
        dead = consume()
        first, last = messages(2)
        broker.publish([first])
        self.put_raw(broker, QUEUE, unreadable)
        broker.publish([last])
        receive(dead, 3)
        heir = second_broker.adopt(dead.id)
        left = heir.lent()
        assert ids(left) == [first.id, last.id]
        release(heir, *left)
        heir.close()
        assert [one.raw for one in receive(consume(), 3)] == [one.raw for one in left]

    def test_whatever_cannot_be_read_can_be_purged_and_looked_for(
        self, broker: Broker, unreadable: bytes
    ) -> None:
        sent = message()
        self.put_raw(broker, QUEUE, unreadable)
        broker.publish([sent])
        place = broker.admin.locate(sent.id)
        assert place is not None
        assert place.where == "ready"
        assert ids(broker.admin.purge(QUEUE)) == [sent.id]

    def test_a_reason_that_no_encoding_has_is_kept_all_the_same(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        """An exception of a task may say anything."""
        sent = message()
        broker.publish([sent])
        reject(consumer, *receive(consumer), reason="ValueError: \ud800")
        (letter,) = broker.admin.dead()
        assert letter.id == sent.id
        assert letter.reason.startswith("ValueError: ")
