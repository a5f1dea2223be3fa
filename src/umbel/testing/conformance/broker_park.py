"""Chapter five: messages whose task nobody knows are kept aside until somebody does."""

# ruff: noqa: PLR2004 - numbers in a test stand where they are compared
from __future__ import annotations

from collections.abc import Sequence

from umbel.brokers.base import Broker, Consumer, Delivery, Verdict
from umbel.message.message import Message
from umbel.testing.conformance.kind import BrokerKind, Consume
from umbel.testing.conformance.steps import (
    ack,
    eventually,
    ids,
    message_of,
    receive,
    reject,
    release,
    settle,
)
from umbel.testing.messages import message, messages

__all__ = ["ParkChapter"]


class ParkChapter(BrokerKind):
    """park and unpark; QueueAdmin.parked and expire_parked."""

    def test_a_parked_message_is_not_lent_by_exchange(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        self._park(broker, consume(), [message("unknown")])
        assert consume().exchange([], 10).deliveries == []
        assert consume(on=second_broker).exchange([], 10).deliveries == []

    def test_a_parked_message_is_lent_to_who_knows_its_task(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        sent = message("reports.build", (2, 3), priority=4)
        self._park(broker, consume(), [sent])
        knowing = consume(on=second_broker)
        (delivery,) = knowing.unpark(["add", "reports.build"], 10)
        assert delivery.parked_before
        assert delivery.queue == sent.queue
        assert message_of(delivery).headers == sent.headers
        assert message_of(delivery).body == sent.body
        assert message_of(delivery).priority == 4
        assert ids(knowing.lent()) == [sent.id]
        ack(knowing, delivery)
        assert broker.admin.parked() == {}
        assert broker.admin.locate(sent.id) is None

    def test_messages_of_tasks_that_are_still_unknown_stay_parked(
        self, broker: Broker, consume: Consume
    ) -> None:
        consumer = consume()
        self._park(broker, consumer, [message("one"), message("two"), message("three")])
        assert consumer.unpark([], 10) == []
        assert consumer.unpark(["four"], 10) == []
        (delivery,) = consumer.unpark(["two"], 10)
        assert message_of(delivery).task == "two"
        assert broker.admin.parked() == {"one": 1, "three": 1}

    def test_a_parked_message_is_lent_only_to_a_consumer_of_its_queue(
        self, broker: Broker, consume: Consume
    ) -> None:
        sent = message("unknown", queue="mail")
        self._park(broker, consume("mail"), [sent])
        assert consume("reports").unpark(["unknown"], 10) == []
        assert ids(consume("reports", "mail").unpark(["unknown"], 10)) == [sent.id]

    def test_unpark_lends_no_more_than_its_limit(self, broker: Broker, consume: Consume) -> None:
        consumer = consume()
        sent = messages(5, "unknown")
        self._park(broker, consumer, sent)
        first = consumer.unpark(["unknown"], 2)
        assert len(first) == 2
        rest = consumer.unpark(["unknown"], 10)
        assert sorted(ids([*first, *rest])) == sorted(ids(sent))
        assert consumer.unpark(["unknown"], 10) == []

    def test_an_unparked_message_is_lent_to_one_consumer_only(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        self._park(broker, consume(), [message("unknown")])
        assert len(consume().unpark(["unknown"], 10)) == 1
        assert consume(on=second_broker).unpark(["unknown"], 10) == []

    def test_an_exchange_says_whether_anything_is_parked(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        consumer, other = consume(), consume(on=second_broker)
        assert not consumer.exchange([], 1).parked
        self._park(broker, consumer, [message("unknown")])
        assert consumer.exchange([], 0).parked
        assert other.exchange([], 1).parked
        ack(consumer, *consumer.unpark(["unknown"], 1))
        assert eventually(lambda: not other.exchange([], 1).parked)

    def test_a_settled_unparked_message_behaves_like_any_other(
        self, broker: Broker, consume: Consume
    ) -> None:
        consumer = consume()
        sent = message("unknown")
        self._park(broker, consumer, [sent])
        (delivery,) = consumer.unpark(["unknown"], 1)
        release(consumer, delivery)
        (again,) = receive(consumer)
        assert not again.parked_before
        assert message_of(again).deliveries == 0
        self._park_deliveries(consumer, [again])
        (third,) = consumer.unpark(["unknown"], 1)
        reject(consumer, third, reason="NotRegistered: unknown")
        assert [letter.id for letter in broker.admin.dead()] == [sent.id]

    def test_parking_a_loan_that_has_ended_is_refused(
        self, broker: Broker, consume: Consume
    ) -> None:
        consumer = consume()
        broker.publish([message("unknown")])
        deliveries = receive(consumer)
        ack(consumer, *deliveries)
        assert len(settle(consumer, Verdict.PARK, *deliveries).refused) == 1
        assert broker.admin.parked() == {}

    def test_the_loan_of_an_unparked_message_is_given_back_when_its_consumer_leaves(
        self, broker: Broker, consume: Consume
    ) -> None:
        consumer, staying = consume(), consume()
        sent = message("unknown")
        self._park(broker, consumer, [sent])
        assert len(consumer.unpark(["unknown"], 1)) == 1
        consumer.close()
        assert ids(receive(staying)) == [sent.id]

    def test_parked_messages_are_counted_by_task(self, broker: Broker, consume: Consume) -> None:
        assert broker.admin.parked() == {}
        sent = [*messages(2, "emails.send"), message("größe"), message("emails.send", queue="b")]
        self._park(broker, consume("celery", "b"), sent)
        assert broker.admin.parked() == {"emails.send": 3, "größe": 1}

    def test_messages_parked_for_too_long_go_to_the_dead_letters(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        consumer = consume()
        sent = messages(3, "unknown")
        self._park(broker, consumer, sent)
        assert broker.admin.expire_parked(3600) == []
        expired: list[Message] = []

        def all_expired() -> bool:
            expired.extend(second_broker.admin.expire_parked(0.01))
            return len(expired) >= 3

        eventually(all_expired)
        assert sorted(ids(expired)) == sorted(ids(sent))
        assert {one.task for one in expired} == {"unknown"}
        letters = broker.admin.dead()
        assert sorted(letter.id for letter in letters) == sorted(ids(sent))
        assert {letter.reason for letter in letters} == {"NotRegistered: unknown"}
        assert broker.admin.parked() == {}
        assert consumer.unpark(["unknown"], 10) == []

    def test_expiring_parked_messages_stops_at_its_limit(
        self, broker: Broker, consume: Consume
    ) -> None:
        self._park(broker, consume(), messages(5, "unknown"))
        first = eventually(lambda: broker.admin.expire_parked(0.0, limit=2))
        assert 1 <= len(first) <= 2
        assert broker.admin.parked() == {"unknown": 5 - len(first)}

    def _park(self, broker: Broker, consumer: Consumer, sent: Sequence[Message]) -> None:
        broker.publish(sent)
        self._park_deliveries(consumer, receive(consumer, len(sent)))

    @staticmethod
    def _park_deliveries(consumer: Consumer, deliveries: Sequence[Delivery]) -> None:
        assert settle(consumer, Verdict.PARK, *deliveries).refused == []
