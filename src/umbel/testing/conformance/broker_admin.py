"""Chapter eight: people see how much waits where, find one message, and empty a queue."""

# ruff: noqa: PLR2004 - numbers in a test stand where they are compared
from __future__ import annotations

import time

import pytest

from umbel.brokers.base import Broker, Consumer, Verdict
from umbel.message.message import Message
from umbel.testing.conformance.kind import BrokerKind, Consume
from umbel.testing.conformance.steps import QUEUE, eventually, ids, receive, reject, settle
from umbel.testing.messages import message, messages

__all__ = ["AdminChapter"]


class AdminChapter(BrokerKind):
    """QueueAdmin.queues, consumers, purge and locate."""

    # queues ---------------------------------------------------------------------------------------

    def test_a_queue_is_counted_by_ready_delayed_and_lent(
        self, broker: Broker, second_broker: Broker, consumer: Consumer
    ) -> None:
        broker.publish([message(priority=number % 3) for number in range(6)])
        broker.publish([message(due=time.time() + 3600) for _ in range(2)])
        receive(consumer, 3)
        (status,) = second_broker.admin.queues([QUEUE])
        assert status.name == QUEUE
        assert (status.ready, status.delayed, status.lent) == (3, 2, 3)

    def test_queues_that_were_asked_for_are_told_even_when_empty(self, broker: Broker) -> None:
        (status,) = broker.admin.queues(["nothing-here"])
        assert status.name == "nothing-here"
        assert (status.ready, status.delayed, status.lent) == (0, 0, 0)

    def test_every_queue_with_messages_is_told_once_by_name(
        self, broker: Broker, consume: Consume
    ) -> None:
        broker.publish([message(queue="zebra"), message(queue="mule")])
        broker.publish([message(queue="later", due=time.time() + 3600)])
        receive(consume("zebra"))
        found = [status.name for status in broker.admin.queues(["mule", "ant"])]
        assert found == ["ant", "later", "mule", "zebra"]
        assert [status.name for status in broker.admin.queues()][-3:] == ["later", "mule", "zebra"]

    # consumers ------------------------------------------------------------------------------------

    def test_registered_consumers_are_told_by_id_with_what_they_hold(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        assert broker.admin.consumers() == []
        second, first = consume("b", "a", id="worker-2"), consume("a", id="worker-1", on=broker)
        broker.publish(messages(3, queue="a"))
        receive(second, 2)
        receive(first, 1)
        found = second_broker.admin.consumers()
        assert [(one.id, sorted(one.queues), one.lent) for one in found] == [
            ("worker-1", ["a"], 1),
            ("worker-2", ["a", "b"], 2),
        ]
        assert all(0.0 <= one.silent_for < 5.0 for one in found)

    def test_the_silence_of_a_consumer_grows_until_it_beats(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        consumer = consume()

        def silence() -> float:
            (status,) = second_broker.admin.consumers()
            return status.silent_for

        eventually(lambda: silence() > 0.05)
        before = silence()
        broker.beat([consumer.id])
        assert silence() < before

    def test_consumers_that_left_or_were_declared_dead_are_not_told(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        leaving, dead, living = consume(), consume(), consume()
        leaving.close()
        heir = second_broker.adopt(dead.id)
        assert [one.id for one in broker.admin.consumers()] == [living.id]
        heir.close()
        assert [one.id for one in broker.admin.consumers()] == [living.id]

    # purge ----------------------------------------------------------------------------------------

    def test_purging_removes_ready_messages_and_returns_them(
        self, broker: Broker, second_broker: Broker, consumer: Consumer
    ) -> None:
        sent = [message(priority=number % 4) for number in range(10)]
        broker.publish(sent)
        broker.publish([message(queue="other")])
        purged = second_broker.admin.purge(QUEUE)
        assert sorted(ids(purged)) == sorted(ids(sent))
        assert second_broker.admin.purge(QUEUE) == []
        assert consumer.exchange([], 10).deliveries == []
        (other,) = [one for one in broker.admin.queues() if one.name == "other"]
        assert other.ready == 1

    def test_purging_goes_on_until_it_returns_nothing(self, broker: Broker) -> None:
        sent = [message(priority=number % 2) for number in range(10)]
        broker.publish(sent)
        purged: list[Message | None] = []
        for _ in range(20):
            part = broker.admin.purge(QUEUE, limit=3)
            assert len(part) <= 3
            purged += part
            if not part:
                break
        assert sorted(ids(purged)) == sorted(ids(sent))

    def test_purging_leaves_delayed_and_lent_messages(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        lent, ready, delayed = message(), message(), message(due=time.time() + 3600)
        broker.publish([lent, ready, delayed])
        receive(consumer)
        assert ids(broker.admin.purge(QUEUE)) == [ready.id]
        assert ids(consumer.lent()) == [lent.id]
        assert ids(broker.admin.delayed()) == [delayed.id]

    def test_purging_removes_bytes_that_are_no_message_too(self, broker: Broker) -> None:
        self.put_raw(broker, QUEUE, b"scrap")
        assert broker.admin.purge(QUEUE) == [None]
        assert broker.admin.purge(QUEUE) == []

    def test_purging_an_unknown_queue_is_harmless(self, broker: Broker) -> None:
        assert broker.admin.purge("nothing-here") == []

    # locate ---------------------------------------------------------------------------------------

    def test_a_message_that_is_nowhere_is_not_found(self, broker: Broker) -> None:
        broker.publish(messages(3))
        assert broker.admin.locate("never-seen") is None

    def test_a_ready_message_is_found(self, broker: Broker, second_broker: Broker) -> None:
        sent = message("report", queue="reports", priority=3)
        broker.publish([*messages(5, queue="reports"), sent, *messages(5)])
        place = second_broker.admin.locate(sent.id)
        assert place is not None
        assert (place.where, place.queue) == ("ready", "reports")
        self._is(place.message, sent)

    def test_a_delayed_message_is_found_with_its_moment(
        self, broker: Broker, second_broker: Broker
    ) -> None:
        sent = message("report", queue="reports", due=time.time() + 3600)
        broker.publish([sent])
        place = second_broker.admin.locate(sent.id)
        assert place is not None
        assert (place.where, place.queue) == ("delayed", "reports")
        assert place.moment == pytest.approx(sent.due, abs=0.001)
        self._is(place.message, sent)

    def test_a_lent_message_is_found_with_its_consumer(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        sent = message("report", queue="reports")
        broker.publish([sent])
        consumer = consume("reports")
        receive(consumer)
        place = second_broker.admin.locate(sent.id)
        assert place is not None
        assert (place.where, place.queue, place.detail) == ("lent", "reports", consumer.id)
        self._is(place.message, sent)

    def test_a_parked_message_is_found(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        sent = message("report", queue="reports")
        broker.publish([sent])
        consumer = consume("reports")
        settle(consumer, Verdict.PARK, *receive(consumer))
        place = second_broker.admin.locate(sent.id)
        assert place is not None
        assert (place.where, place.queue) == ("parked", "reports")
        self._is(place.message, sent)

    def test_a_dead_message_is_found_with_its_reason_and_moment(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        sent = message("report", queue="reports")
        broker.publish([sent])
        consumer = consume("reports")
        reject(consumer, *receive(consumer), reason="ValueError: no")
        place = second_broker.admin.locate(sent.id)
        assert place is not None
        assert (place.where, place.queue, place.detail) == ("dead", "reports", "ValueError: no")
        assert place.moment == pytest.approx(time.time(), abs=5.0)
        self._is(place.message, sent)

    def test_bytes_that_are_no_message_do_not_stop_the_search(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        self.put_raw(broker, QUEUE, b"lent scrap")
        receive(consumer)
        self.put_raw(broker, QUEUE, b"ready scrap")
        sent = message()
        broker.publish([sent])
        place = broker.admin.locate(sent.id)
        assert place is not None
        assert place.where == "ready"
        assert broker.admin.locate("never-seen") is None

    @staticmethod
    def _is(found: Message | None, sent: Message) -> None:
        assert found is not None
        assert (found.id, found.task, found.body) == (sent.id, sent.task, sent.body)
