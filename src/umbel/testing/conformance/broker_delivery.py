"""Chapter one: a message is published, kept, and lent in order to one consumer at a time."""

# ruff: noqa: PLR2004 - numbers in a test stand where they are compared
from __future__ import annotations

import random
import time
from collections import Counter
from contextlib import closing

import pytest

from umbel.brokers.base import Binding, Broker, Consumer, Settlement, Verdict
from umbel.exceptions import MessageTooLarge
from umbel.testing.conformance.kind import BrokerKind, Connect, Consume
from umbel.testing.conformance.steps import (
    QUEUE,
    ack,
    eventually,
    ids,
    message_of,
    messages_of,
    receive,
    settle,
)
from umbel.testing.messages import message, messages

__all__ = ["DeliveryChapter"]


class DeliveryChapter(BrokerKind):
    """publish, consume, exchange."""

    # What is sent arrives -------------------------------------------------------------------------

    def test_saying_where_exchanges_lead_changes_nothing_for_messages(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        for _ in range(2):
            broker.declare([Binding("feeds", "topic", "feed.#", QUEUE)])
        broker.publish([])
        sent = message()
        broker.publish([sent])
        assert ids(receive(consumer)) == [sent.id]

    def test_a_published_message_is_received_by_a_consumer_of_its_queue(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        sent = message("add", (2, 3))
        broker.publish([sent])
        (delivery,) = receive(consumer)
        assert delivery.queue == QUEUE
        assert message_of(delivery).task == "add"
        assert message_of(delivery).id == sent.id
        assert delivery.problem == ""
        assert not delivery.parked_before

    def test_a_message_arrives_as_it_was_sent(self, broker: Broker, consumer: Consumer) -> None:
        sent = message(
            "add",
            (2, 3),
            {"deep": [1, {"a": None}]},
            priority=4,
            headers={"trace": "00-4bf9", "retries": 2, "expires": "2099-01-01T00:00:00+00:00"},
        )
        broker.publish([sent])
        received = message_of(receive(consumer)[0])
        assert received.headers == sent.headers
        assert list(received.headers)[: len(sent.headers)] == list(sent.headers)
        assert received.body == sent.body
        assert received.content_type == sent.content_type
        assert received.content_encoding == sent.content_encoding
        assert received.queue == sent.queue
        assert received.priority == 4
        assert received.retries == 2
        assert received.deliveries == 0
        assert received.correlation_id == sent.id
        assert received.due is None

    def test_reply_address_and_unknown_properties_travel_with_the_message(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        plain = message()
        sent = type(plain)(
            headers=plain.headers,
            body=plain.body,
            queue=plain.queue,
            reply_to="client-7",
            correlation_id="question-1",
            properties={"MessageGroupId": "orders"},
        )
        broker.publish([sent])
        received = message_of(receive(consumer)[0])
        assert received.reply_to == "client-7"
        assert received.correlation_id == "question-1"
        assert received.properties["MessageGroupId"] == "orders"

    def test_names_and_arguments_in_any_script_survive(
        self, broker: Broker, consume: Consume
    ) -> None:
        sent = message(
            "größe.計算", ("žluťoučký", "🌱", "\x00\x1f"), id="идентификатор", queue="очередь-ü"
        )
        broker.publish([sent])
        (delivery,) = receive(consume("очередь-ü"))
        assert delivery.queue == "очередь-ü"
        assert message_of(delivery).headers == sent.headers
        assert message_of(delivery).body == sent.body

    def test_a_message_of_one_megabyte_arrives(self, broker: Broker, consumer: Consumer) -> None:
        text = "".join(random.Random(7).choices("abcdefgh\N{DESERT ISLAND}", k=800_000))  # noqa: S311 - not a secret
        sent = message("add", (text,))
        assert len(sent.body) > 1_000_000
        broker.publish([sent])
        (delivery,) = receive(consumer)
        assert message_of(delivery).body == sent.body
        ack(consumer, delivery)

    def test_a_body_of_any_bytes_arrives(self, broker: Broker, consumer: Consumer) -> None:
        body = bytes(range(256))
        broker.publish([message(body=body)])
        assert message_of(receive(consumer)[0]).body == body

    def test_publishing_nothing_is_harmless(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([])
        assert consumer.exchange([], 10).deliveries == []

    def test_one_call_publishes_thousands_in_order(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        sent = messages(2500)
        broker.publish(sent)
        assert ids(receive(consumer, 2500, limit=500)) == ids(sent)

    def test_one_call_publishes_to_several_queues(self, broker: Broker, consume: Consume) -> None:
        first, second = message(queue="first"), message(queue="second")
        broker.publish([first, second])
        assert ids(receive(consume("first"))) == [first.id]
        assert ids(receive(consume("second"))) == [second.id]

    def test_a_message_above_the_size_limit_is_refused_by_name(
        self, another_broker: Connect, consumer: Consumer
    ) -> None:
        narrow = another_broker(max_message_size=10_000)
        with pytest.raises(MessageTooLarge, match=r"reports\.build"):
            narrow.publish([message("reports.build", ("x" * 10_000,))])
        small = message("reports.build", ("x" * 1000,))
        narrow.publish([small])
        assert ids(receive(consumer)) == [small.id]

    def test_the_raw_bytes_of_a_delivery_are_those_of_its_message(
        self, broker: Broker, consume: Consume
    ) -> None:
        sent = message("add", (2, 3))
        broker.publish([sent])
        (delivery,) = receive(consume("celery"))
        self.put_raw(broker, "copy", delivery.raw)
        copy = message_of(receive(consume("copy"))[0])
        assert copy.id == sent.id
        assert copy.body == sent.body

    # It is kept -----------------------------------------------------------------------------------

    def test_a_message_waits_for_a_consumer_that_comes_later(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        sent = message()
        broker.publish([sent])
        broker.close()
        assert ids(receive(consume(on=second_broker))) == [sent.id]

    def test_a_broker_may_be_used_again_after_it_was_closed(
        self, broker: Broker, consume: Consume
    ) -> None:
        first, second = messages(2)
        broker.publish([first])
        broker.close()
        broker.close()
        broker.publish([second])
        assert ids(receive(consume(), 2)) == [first.id, second.id]

    def test_messages_survive_a_restart_of_the_store(
        self, url: str, another_broker: Connect, consume: Consume
    ) -> None:
        if not self.survives_restart:
            pytest.skip("this kind of broker keeps nothing beyond its store's process")
        broker = another_broker()
        ready, delayed = message(), message(due=time.time() + 3600)
        broker.publish([ready, delayed])
        broker.close()
        self.restart(url)
        reopened = another_broker()
        assert ids(receive(consume(on=reopened))) == [ready.id]
        assert ids(reopened.admin.delayed()) == [delayed.id]

    def test_a_consumer_sees_no_messages_of_other_queues(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        broker.publish([message(queue="other")])
        consumer.wait(0.05)
        assert consumer.exchange([], 10).deliveries == []

    # In order -------------------------------------------------------------------------------------

    def test_messages_of_one_queue_come_first_in_first_out(
        self, broker: Broker, second_broker: Broker, consumer: Consumer
    ) -> None:
        sent = messages(20)
        for one in sent[:10]:
            broker.publish([one])
        second_broker.publish(sent[10:])
        assert ids(receive(consumer, 20, limit=3)) == ids(sent)

    def test_each_of_ten_priorities_comes_before_the_next_lower(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        sent = [message(priority=priority) for priority in (3, 9, 0, 5, 1, 8, 2, 7, 4, 6)]
        broker.publish(sent)
        received = messages_of(receive(consumer, 10))
        assert [one.priority for one in received] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
        assert set(ids(received)) == set(ids(sent))

    def test_messages_of_one_priority_come_first_in_first_out(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        sent = [message(priority=number % 2) for number in range(20)]
        broker.publish(sent)
        expected = ids([*sent[1::2], *sent[0::2]])
        assert ids(receive(consumer, 20, limit=4)) == expected

    def test_a_higher_priority_goes_before_older_messages_of_every_queue(
        self, broker: Broker, consume: Consume
    ) -> None:
        broker.publish([message(queue=queue) for queue in ("a", "b") for _ in range(5)])
        ranks = (("b", 2), ("a", 3), ("b", 5), ("b", 4), ("a", 1))
        urgent = [message(queue=queue, priority=priority) for queue, priority in ranks]
        broker.publish(urgent)
        received = messages_of(receive(consume("a", "b"), 15, limit=4))
        assert [one.priority for one in received] == [5, 4, 3, 2, 1, *[0] * 10]

    def test_queues_of_equal_priority_take_turns_one_by_one(
        self, broker: Broker, consume: Consume
    ) -> None:
        broker.publish([message(queue=queue) for queue in ("a", "b", "c") for _ in range(10)])
        consumer = consume("a", "b", "c")
        served = Counter(receive(consumer)[0].queue for _ in range(9))
        assert set(served) == {"a", "b", "c"}
        assert min(served.values()) >= 2

    def test_a_long_queue_does_not_keep_a_short_one_waiting(
        self, broker: Broker, consume: Consume
    ) -> None:
        broker.publish(messages(500, queue="long"))
        broker.publish(messages(5, queue="short"))
        consumer = consume("long", "short")
        served = Counter(delivery.queue for delivery in receive(consumer, 40, limit=10))
        assert served["short"] == 5

    # To one consumer at a time --------------------------------------------------------------------

    def test_a_message_is_lent_to_one_consumer_only(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        first, second = consume(), consume(on=second_broker)
        broker.publish([message()])
        receive(first)
        assert second.exchange([], 10).deliveries == []
        assert first.exchange([], 10).deliveries == []

    def test_two_consumers_share_a_queue_without_overlap(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        sent = messages(100)
        broker.publish(sent)
        first, second = consume(), consume(on=second_broker)
        received = [*receive(first, 50, limit=5), *receive(second, 50, limit=7)]
        assert Counter(ids(received)) == Counter(ids(sent))

    def test_two_messages_of_the_same_id_are_two_messages(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        broker.publish([message(id="twin", args=(1,)), message(id="twin", args=(2,))])
        first, second = receive(consumer, 2)
        assert first.loan != second.loan
        assert message_of(first).body != message_of(second).body
        ack(consumer, first)
        assert ids(consumer.lent()) == ["twin"]
        ack(consumer, second)
        assert consumer.lent() == []

    def test_every_loan_has_a_name_that_never_comes_again(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        broker.publish(messages(3))
        loans: list[str] = []
        for owner in (broker, second_broker, broker):
            consumer = consume(on=owner, id="same-id-again")
            for _ in range(2):
                deliveries = receive(consumer, 3)
                loans += [delivery.loan for delivery in deliveries]
                settle(consumer, Verdict.RELEASE, *deliveries)
            consumer.close()
        assert len(set(loans)) == 18

    def test_an_exchange_takes_no_more_than_its_limit(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        broker.publish(messages(10))
        assert consumer.exchange([], 0).deliveries == []
        assert len(receive(consumer)) == 1
        assert 1 <= len(consumer.exchange([], 4).deliveries) <= 4

    def test_an_exchange_on_an_empty_queue_returns_at_once(self, consumer: Consumer) -> None:
        start = time.monotonic()
        for _ in range(5):
            exchange = consumer.exchange([], 10)
            assert exchange.deliveries == []
            assert exchange.refused == []
        assert time.monotonic() - start < 2.0

    def test_one_exchange_settles_and_receives(self, broker: Broker, consumer: Consumer) -> None:
        sent = messages(30)
        broker.publish(sent)
        seen = deliveries = receive(consumer, 10)
        while len(seen) < 30:
            settlements = [
                Settlement(delivery=delivery, verdict=Verdict.ACK) for delivery in deliveries
            ]
            exchange = consumer.exchange(settlements, 10)
            assert exchange.refused == []
            deliveries = exchange.deliveries
            seen = [*seen, *deliveries]
        assert ids(seen) == ids(sent)
        assert sorted(ids(consumer.lent())) == sorted(ids(deliveries))

    def test_lent_tells_every_loan_that_is_held_now(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        assert consumer.lent() == []
        sent = messages(3)
        broker.publish(sent)
        deliveries = receive(consumer, 3)
        assert sorted(ids(consumer.lent())) == sorted(ids(sent))
        ack(consumer, deliveries[1])
        held = consumer.lent()
        assert sorted(ids(held)) == sorted([sent[0].id, sent[2].id])
        assert {one.loan for one in held} == {deliveries[0].loan, deliveries[2].loan}
        assert {message_of(one).body for one in held} == {sent[0].body, sent[2].body}

    # Sign in, sign off ----------------------------------------------------------------------------

    def test_closing_a_consumer_gives_its_loans_back_uncounted(
        self, broker: Broker, consume: Consume
    ) -> None:
        sent = messages(4)
        broker.publish(sent)
        leaving, staying = consume(), consume()
        receive(leaving, 3)
        leaving.close()
        received = messages_of(receive(staying, 4))
        assert ids(received) == ids(sent)
        assert [one.deliveries for one in received] == [0, 0, 0, 0]

    def test_closing_a_consumer_twice_is_harmless(self, broker: Broker, consume: Consume) -> None:
        broker.publish([message()])
        leaving = consume()
        receive(leaving)
        leaving.close()
        leaving.close()
        staying = consume()
        receive(staying)
        assert staying.exchange([], 10).deliveries == []

    def test_a_consumer_of_no_queue_lives_and_receives_nothing(
        self, broker: Broker, second_broker: Broker
    ) -> None:
        broker.publish([message()])
        with closing(broker.consume([], "idle-1")) as idle:
            assert second_broker.beat([idle.id]) == []
            assert idle.exchange([], 5).deliveries == []
            idle.wait(0.01)
            assert idle.unpark(["some.task"], 5) == []
            second_broker.adopt(idle.id).close()
            assert idle.exchange([], 5).deliveries == []

    def test_a_broker_tells_whether_any_consumer_ever_came(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        assert not second_broker.attended()
        broker.publish([message()])
        assert not second_broker.attended()
        consumer = consume()
        assert eventually(second_broker.attended)
        consumer.close()
        assert second_broker.attended()
        assert broker.attended()

    def test_the_displayed_url_names_the_kind_and_no_password(self, broker: Broker) -> None:
        assert "://" in broker.display_url
