"""Chapter three: delayed messages wait in the broker, and come due in order and on time."""

# ruff: noqa: PLR2004 - numbers in a test stand where they are compared
from __future__ import annotations

import threading
import time
from statistics import median

import pytest

from umbel.brokers.base import Broker, Consumer
from umbel.testing.conformance.kind import BrokerKind, Consume
from umbel.testing.conformance.steps import (
    PATIENCE,
    QUEUE,
    ack,
    ids,
    message_of,
    pause_until,
    receive,
    together,
)
from umbel.testing.messages import message

__all__ = ["DelayChapter"]

#: A server may round its clock down to milliseconds.
EARLY = 0.005


class DelayChapter(BrokerKind):
    """publish with ``due``; QueueAdmin.delayed and cancel."""

    def test_a_delayed_message_is_invisible_until_its_moment(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        sent = message(due=time.time() + 0.15)
        assert sent.due is not None
        broker.publish([sent])
        assert consumer.exchange([], 10).deliveries == []
        deadline = time.monotonic() + PATIENCE
        while not (arrived := consumer.exchange([], 10).deliveries):
            assert time.monotonic() < deadline
            consumer.wait(EARLY)
        assert time.time() >= sent.due - EARLY
        assert ids(arrived) == [sent.id]
        assert message_of(arrived[0]).body == sent.body

    def test_a_moment_in_the_past_means_at_once(self, broker: Broker, consumer: Consumer) -> None:
        sent = message(due=time.time() - 60)
        broker.publish([sent])
        assert broker.admin.delayed() == []
        assert ids(receive(consumer)) == [sent.id]

    def test_a_delivered_message_still_tells_when_it_was_due(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        sent = message(due=time.time() + 0.02)
        broker.publish([sent])
        received = message_of(receive(consumer)[0])
        assert received.headers["eta"] == sent.headers["eta"]
        assert received.due == pytest.approx(sent.due, abs=0.001)

    def test_delayed_messages_come_in_the_order_of_their_moments(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        now = time.time()
        sent = [message(due=now + offset) for offset in (0.09, 0.03, 0.06, 0.12)]
        broker.publish(sent)
        assert ids(receive(consumer, 4)) == ids([sent[1], sent[2], sent[0], sent[3]])

    def test_all_messages_of_one_moment_come(self, broker: Broker, consumer: Consumer) -> None:
        due = time.time() + 0.05
        sent = [message(due=due, id=f"task-{number:02}") for number in (7, 3, 11, 1)]
        for one in sent:
            broker.publish([one])
        assert sorted(ids(receive(consumer, 4))) == sorted(ids(sent))

    def test_due_messages_become_ready_before_an_exchange_takes_any(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        low, high = message(priority=2), message(priority=8, due=time.time() + 0.05)
        broker.publish([low, high])
        pause_until((high.due or 0.0) + 2 * EARLY)
        received = receive(consumer, 2)
        assert ids(received) == [high.id, low.id]
        assert message_of(received[0]).priority == 8

    def test_two_delayed_messages_of_the_same_id_both_survive(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        due = time.time() + 0.05
        broker.publish([message(id="twin", args=(1,), due=due)])
        broker.publish([message(id="twin", args=(2,), due=due)])
        assert ids(broker.admin.delayed()) == ["twin", "twin"]
        received = receive(consumer, 2)
        assert len({message_of(one).body for one in received}) == 2

    def test_even_two_equal_delayed_messages_both_survive(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        sent = message(due=time.time() + 0.05)
        broker.publish([sent, sent])
        assert ids(receive(consumer, 2)) == [sent.id, sent.id]

    def test_a_waiting_consumer_has_a_delayed_message_on_time(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        late: list[float] = []
        for _ in range(7):
            sent = message(due=time.time() + 0.06)
            assert sent.due is not None
            broker.publish([sent])
            delivery = receive(consumer)[0]
            late.append(time.time() - sent.due)
            ack(consumer, delivery)
        assert min(late) >= -EARLY
        assert median(late) <= self.due_within

    def test_a_waiting_consumer_has_a_message_on_time_that_was_published_meanwhile(
        self, broker: Broker, second_broker: Broker, consumer: Consumer
    ) -> None:
        far = message(due=time.time() + 3600)
        broker.publish([far])
        late: list[float] = []
        for _ in range(7):
            idle = threading.Event()

            def publish(idle: threading.Event = idle) -> None:
                idle.wait(PATIENCE)
                second_broker.publish([message(due=time.time() + 0.06)])

            def wait(idle: threading.Event = idle) -> None:
                idle.set()
                delivery = receive(consumer)[0]
                late.append(time.time() - (message_of(delivery).due or 0.0))
                ack(consumer, delivery)

            together(publish, wait)
        assert min(late) >= -EARLY
        assert median(late) <= self.due_within
        assert ids(broker.admin.delayed()) == [far.id]

    def test_a_thousand_delayed_messages_do_not_disturb_ready_ones(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        now = time.time()
        broker.publish([message(due=now + 3600 + number) for number in range(1000)])
        ready = message()
        broker.publish([ready])
        assert ids(receive(consumer)) == [ready.id]
        assert consumer.exchange([], 100).deliveries == []
        (status,) = broker.admin.queues([QUEUE])
        assert (status.delayed, status.ready, status.lent) == (1000, 0, 1)

    def test_delayed_messages_do_not_make_wait_return_over_and_over(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        broker.publish([message(due=time.time() + 3600) for _ in range(10)])
        rounds = 0
        deadline = time.monotonic() + 0.4
        while (left := deadline - time.monotonic()) > 0:
            assert consumer.exchange([], 10).deliveries == []
            consumer.wait(left)
            rounds += 1
        assert rounds <= 40

    def test_a_consumer_of_other_queues_does_not_get_delayed_messages(
        self, broker: Broker, consume: Consume
    ) -> None:
        stranger, owner = consume("other"), consume()
        sent = message(due=time.time() + 0.05)
        broker.publish([sent])
        stranger.wait(0.1)
        assert stranger.exchange([], 10).deliveries == []
        assert ids(receive(owner)) == [sent.id]

    # Listing and cancelling -----------------------------------------------------------------------

    def test_delayed_messages_are_listed_with_the_next_first(
        self, broker: Broker, second_broker: Broker
    ) -> None:
        now = time.time()
        places = zip((300, 100, 700, 200, 500, 600, 400), "abaabba", strict=True)
        sent = [
            message("report", (offset,), due=now + offset, queue=queue) for offset, queue in places
        ]
        broker.publish(sent)
        expected = sorted(sent, key=lambda one: one.due or 0.0)
        listed = second_broker.admin.delayed()
        assert ids(listed) == ids(expected)
        for found, one in zip(listed, expected, strict=True):
            assert found.due == pytest.approx(one.due, abs=0.001)
            assert (found.queue, found.task, found.body) == (one.queue, "report", one.body)

    def test_the_listing_can_be_of_one_queue_and_of_the_next_few(self, broker: Broker) -> None:
        now = time.time()
        sent = [
            message(due=now + 100 + number, queue=("a", "b")[number % 2]) for number in range(8)
        ]
        broker.publish(sent[::-1])
        assert ids(broker.admin.delayed(limit=3)) == ids(sent[:3])
        assert ids(broker.admin.delayed("b")) == ids(sent[1::2])
        assert ids(broker.admin.delayed("a", limit=2)) == ids([sent[0], sent[2]])
        assert broker.admin.delayed("nobody") == []

    def test_a_cancelled_message_never_comes(
        self, broker: Broker, second_broker: Broker, consumer: Consumer
    ) -> None:
        due = time.time() + 0.3
        cancelled, other = message(due=due), message(due=due)
        broker.publish([cancelled, other])
        assert second_broker.admin.cancel(cancelled.id) == 1
        assert ids(broker.admin.delayed()) == [other.id]
        assert ids(receive(consumer)) == [other.id]
        assert consumer.exchange([], 10).deliveries == []

    def test_cancelling_takes_every_delayed_message_of_the_id(self, broker: Broker) -> None:
        now = time.time()
        broker.publish(
            [
                message(id="twin", due=now + 3600),
                message(id="twin", due=now + 1800),
                message(id="twin", due=now + 7200, queue="other"),
                message(id="other", due=now + 3600),
            ]
        )
        assert broker.admin.cancel("twin") == 3
        assert broker.admin.cancel("twin") == 0
        assert broker.admin.cancel("never-seen") == 0
        assert ids(broker.admin.delayed()) == ["other"]

    def test_cancelling_leaves_ready_messages_alone(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        sent = message()
        broker.publish([sent])
        assert broker.admin.cancel(sent.id) == 0
        assert ids(receive(consumer)) == [sent.id]
