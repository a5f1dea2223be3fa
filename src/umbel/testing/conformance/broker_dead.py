"""Chapter seven: what was rejected is kept for people, within bounds, and can be run again."""

# ruff: noqa: PLR2004 - numbers in a test stand where they are compared
from __future__ import annotations

import time

import pytest

from umbel.brokers.admin import DeadLetter
from umbel.brokers.base import Broker, Consumer
from umbel.message.message import Message
from umbel.testing.conformance.kind import BrokerKind, Connect, Consume
from umbel.testing.conformance.steps import (
    QUEUE,
    ack,
    eventually,
    ids,
    message_of,
    receive,
    reject,
    release,
)
from umbel.testing.messages import message, messages

__all__ = ["DeadLetterChapter"]


class DeadLetterChapter(BrokerKind):
    """reject; QueueAdmin.dead, dead_count, revive and drop."""

    def test_a_rejected_message_is_kept_with_its_reason(
        self, broker: Broker, second_broker: Broker, consumer: Consumer
    ) -> None:
        sent = message("reports.build", (2, 3))
        broker.publish([sent])
        (delivery,) = receive(consumer)
        before = time.time()
        reject(consumer, delivery, reason="ValueError: größer als erlaubt")
        (letter,) = second_broker.admin.dead()
        assert letter.id == sent.id
        assert letter.task == "reports.build"
        assert letter.queue == QUEUE
        assert letter.reason == "ValueError: größer als erlaubt"
        assert letter.raw == delivery.raw
        assert letter.died_at == pytest.approx(before, abs=2.0)
        assert second_broker.admin.dead_count() == 1

    def test_bytes_that_are_no_message_can_be_rejected_and_looked_at(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        self.put_raw(broker, QUEUE, b"\xff\x00 scrap")
        (delivery,) = receive(consumer)
        reject(consumer, delivery, reason=delivery.problem)
        (letter,) = broker.admin.dead()
        assert letter.raw == b"\xff\x00 scrap"
        assert letter.task is None
        assert letter.queue == QUEUE
        assert letter.reason == delivery.problem
        assert letter.id

    def test_the_newest_dead_letters_come_first(self, broker: Broker, consumer: Consumer) -> None:
        sent = self._dead(broker, consumer, 6)
        newest_first = ids(reversed(sent))
        assert names(broker.admin.dead()) == newest_first
        assert names(broker.admin.dead(limit=2)) == newest_first[:2]
        assert names(broker.admin.dead(limit=3, offset=2)) == newest_first[2:5]
        assert broker.admin.dead(limit=10, offset=6) == []
        assert broker.admin.dead_count() == 6

    def test_only_so_many_dead_letters_are_kept(
        self, another_broker: Connect, consume: Consume
    ) -> None:
        small = another_broker(dead_limit=5)
        sent = self._dead(small, consume(on=small), 12)
        letters = small.admin.dead()
        assert names(letters) == ids(reversed(sent))[:5]
        assert small.admin.dead_count() == 5

    def test_dead_letters_are_kept_only_so_long(
        self, another_broker: Connect, consume: Consume
    ) -> None:
        brief = another_broker(dead_max_age=0.05)
        consumer = consume(on=brief)
        (old,) = self._dead(brief, consumer, 1)

        def old_is_gone() -> bool:
            self._dead(brief, consumer, 1)
            return old.id not in names(brief.admin.dead(limit=10_000))

        eventually(old_is_gone)

    # revive ---------------------------------------------------------------------------------------

    def test_a_revived_message_runs_again(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        sent = message("reports.build", (2, 3), queue="reports", priority=6)
        broker.publish([sent])
        consumer = consume("reports")
        reject(consumer, *receive(consumer))
        assert second_broker.admin.revive([sent.id]) == 1
        (delivery,) = receive(consumer)
        received = message_of(delivery)
        assert (received.id, received.task, received.body) == (sent.id, sent.task, sent.body)
        assert delivery.queue == "reports"
        assert received.priority == 6
        assert broker.admin.dead() == []
        assert broker.admin.dead_count() == 0

    def test_a_revived_message_starts_with_fresh_counters_and_no_expiry(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        headers = {"retries": 3, "expires": "2020-01-01T00:00:00+00:00", "trace": "abc"}
        sent = message(headers=headers, due=time.time() - 3600)
        broker.publish([sent])
        for _ in range(2):
            release(consumer, *receive(consumer), counted=True)
        reject(consumer, *receive(consumer), reason="WorkerLostError")
        assert broker.admin.revive([sent.id]) == 1
        received = message_of(receive(consumer)[0])
        assert received.retries == 0
        assert received.deliveries == 0
        assert received.headers["expires"] is None
        assert received.headers["trace"] == "abc"

    def test_only_the_named_dead_letters_are_revived(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        first, second, third, fourth = self._dead(broker, consumer, 4)
        assert broker.admin.revive([]) == 0
        assert broker.admin.revive([second.id, "never-seen", fourth.id]) == 2
        assert sorted(ids(receive(consumer, 2))) == sorted([second.id, fourth.id])
        assert names(broker.admin.dead()) == [third.id, first.id]
        assert broker.admin.revive([second.id]) == 0

    def test_a_dead_letter_that_is_no_message_stays_dead(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        self.put_raw(broker, QUEUE, b"scrap")
        reject(consumer, *receive(consumer), reason="undecodable")
        (letter,) = broker.admin.dead()
        assert broker.admin.revive([letter.id]) == 0
        assert broker.admin.dead() == [letter]
        assert consumer.exchange([], 10).deliveries == []

    def test_a_revived_message_may_die_again(self, broker: Broker, consumer: Consumer) -> None:
        (sent,) = self._dead(broker, consumer, 1)
        broker.admin.revive([sent.id])
        reject(consumer, *receive(consumer), reason="again")
        assert [(letter.id, letter.reason) for letter in broker.admin.dead()] == [
            (sent.id, "again")
        ]
        broker.admin.revive([sent.id])
        ack(consumer, *receive(consumer))
        assert broker.admin.dead_count() == 0

    # drop -----------------------------------------------------------------------------------------

    def test_dropped_dead_letters_are_forgotten(self, broker: Broker, consumer: Consumer) -> None:
        first, second, third = self._dead(broker, consumer, 3)
        assert broker.admin.drop([]) == 0
        assert broker.admin.drop([first.id, third.id, "never-seen"]) == 2
        assert names(broker.admin.dead()) == [second.id]
        assert broker.admin.dead_count() == 1
        assert broker.admin.drop([first.id]) == 0
        assert broker.admin.revive([first.id]) == 0
        assert consumer.exchange([], 10).deliveries == []

    def test_a_dead_letter_that_is_no_message_can_be_dropped(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        self.put_raw(broker, QUEUE, b"scrap one")
        self.put_raw(broker, QUEUE, b"scrap two")
        reject(consumer, *receive(consumer, 2), reason="undecodable")
        newer, older = broker.admin.dead()
        assert newer.id != older.id
        assert broker.admin.drop([newer.id]) == 1
        assert broker.admin.dead() == [older]

    @staticmethod
    def _dead(broker: Broker, consumer: Consumer, count: int) -> list[Message]:
        """That many messages, rejected one after the other."""
        sent = messages(count)
        broker.publish(sent)
        for delivery in receive(consumer, count):
            reject(consumer, delivery)
        return sent


def names(letters: list[DeadLetter]) -> list[str]:
    return [letter.id for letter in letters]
