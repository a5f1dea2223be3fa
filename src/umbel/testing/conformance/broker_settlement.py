"""Chapter two: a loan ends once, as its settlement says, with all that belongs to the same step."""

# ruff: noqa: PLR2004 - numbers in a test stand where they are compared
from __future__ import annotations

import time

import pytest

from umbel.backends.base import ResultBackend
from umbel.brokers.base import Broker, Consumer, Settlement, Verdict
from umbel.exceptions import OperationalError
from umbel.message.message import DELIVERIES
from umbel.states import SUCCESS
from umbel.testing.conformance.kind import BrokerKind, Consume
from umbel.testing.conformance.steps import (
    QUEUE,
    ForeignStore,
    ack,
    ids,
    message_of,
    messages_of,
    receive,
    reject,
    release,
    settle,
)
from umbel.testing.messages import message, messages, record

__all__ = ["SettlementChapter"]


class SettlementChapter(BrokerKind):
    """exchange with settlements: ack, release, reject; records and follow-up messages."""

    # ack ------------------------------------------------------------------------------------------

    def test_an_acknowledged_message_is_gone(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        consumer = consume()
        sent = message()
        broker.publish([sent])
        ack(consumer, *receive(consumer))
        consumer.close()
        assert consume(on=second_broker).exchange([], 10).deliveries == []
        assert broker.admin.locate(sent.id) is None

    def test_settling_a_loan_twice_is_refused(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([message()])
        deliveries = receive(consumer)
        ack(consumer, *deliveries)
        for verdict in Verdict:
            exchange = settle(consumer, verdict, *deliveries)
            assert [one.delivery for one in exchange.refused] == deliveries
            assert [one.verdict for one in exchange.refused] == [verdict]
        assert consumer.exchange([], 10).deliveries == []
        assert broker.admin.dead_count() == 0

    def test_of_two_settlements_in_one_exchange_the_first_counts(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        broker.publish([message()])
        (delivery,) = receive(consumer)
        first = Settlement(delivery=delivery, verdict=Verdict.ACK)
        second = Settlement(delivery=delivery, verdict=Verdict.RELEASE)
        assert consumer.exchange([first, second], 0).refused == [second]
        assert consumer.exchange([], 10).deliveries == []

    def test_a_refused_settlement_does_not_hinder_the_others(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        broker.publish(messages(3))
        first, second, third = receive(consumer, 3)
        ack(consumer, second)
        refused = settle(consumer, Verdict.ACK, first, second, third).refused
        assert [one.delivery for one in refused] == [second]
        assert consumer.lent() == []

    def test_a_loan_of_an_earlier_turn_is_refused_when_the_message_was_lent_again(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        sent = message()
        broker.publish([sent])
        (old,) = receive(consumer)
        release(consumer, old)
        (new,) = receive(consumer)
        assert new.loan != old.loan
        assert len(settle(consumer, Verdict.ACK, old).refused) == 1
        assert ids(consumer.lent()) == [sent.id]
        ack(consumer, new)

    # release --------------------------------------------------------------------------------------

    def test_a_released_message_goes_to_the_front_of_its_queue(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        sent = messages(5)
        broker.publish(sent)
        first, second = receive(consumer, 2)
        release(consumer, second)
        release(consumer, first)
        assert ids(receive(consumer, 5)) == ids(sent)

    def test_messages_released_in_one_step_keep_their_order(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        sent = messages(6)
        broker.publish(sent)
        release(consumer, *receive(consumer, 4))
        assert ids(receive(consumer, 6)) == ids(sent)

    def test_a_released_message_keeps_its_priority(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        low = message(priority=1)
        broker.publish([low])
        deliveries = receive(consumer)
        lower, equal, high = (message(priority=priority) for priority in (0, 1, 5))
        broker.publish([lower, equal, high])
        release(consumer, *deliveries)
        received = messages_of(receive(consumer, 4))
        assert ids(received) == ids([high, low, equal, lower])
        assert [one.priority for one in received] == [5, 1, 1, 0]

    def test_a_released_message_goes_back_to_the_queue_it_came_from(
        self, broker: Broker, consume: Consume
    ) -> None:
        sent = message(queue="second")
        broker.publish([sent])
        both = consume("first", "second")
        release(both, *receive(both))
        assert consume("first").exchange([], 10).deliveries == []
        assert ids(receive(consume("second"))) == [sent.id]

    def test_a_release_leaves_the_message_as_it_was(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        sent = message(headers={"trace": "abc"})
        broker.publish([sent])
        (before,) = receive(consumer)
        release(consumer, before)
        (after,) = receive(consumer)
        assert message_of(after).headers == sent.headers
        assert message_of(after).body == sent.body
        assert message_of(after).deliveries == 0
        assert after.raw == before.raw

    def test_a_counted_release_raises_the_delivery_counter(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        sent = message("add", (2, 3), headers={"trace": "abc", "retries": 1}, priority=3)
        broker.publish([sent])
        for expected in range(3):
            (delivery,) = receive(consumer)
            received = message_of(delivery)
            assert received.deliveries == expected
            release(consumer, delivery, counted=True)
        (delivery,) = receive(consumer)
        received = message_of(delivery)
        assert received.headers[DELIVERIES] == 3
        assert received.headers["redelivered"] is True
        assert (received.id, received.retries, received.priority) == (sent.id, 1, 3)
        assert received.headers["trace"] == "abc"
        assert received.body == sent.body

    def test_a_counted_release_goes_to_the_front_too(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        sent = messages(3)
        broker.publish(sent)
        release(consumer, *receive(consumer), counted=True)
        assert ids(receive(consumer, 3)) == ids(sent)

    def test_bytes_that_are_no_message_can_be_released_even_counted(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        self.put_raw(broker, QUEUE, b"scrap")
        release(consumer, *receive(consumer))
        release(consumer, *receive(consumer), counted=True)
        (delivery,) = receive(consumer)
        assert delivery.raw == b"scrap"

    def test_a_release_with_a_delay_comes_back_when_it_has_passed(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        sent = message()
        broker.publish([sent])
        deliveries = receive(consumer)
        released_at = time.time()
        release(consumer, *deliveries, delay=0.1)
        (listed,) = broker.admin.delayed()
        assert listed.due == pytest.approx(released_at + 0.1, abs=2.0)
        (delivery,) = receive(consumer)
        assert time.time() >= released_at + 0.09
        assert message_of(delivery).id == sent.id
        assert message_of(delivery).deliveries == 0

    def test_a_release_may_be_both_delayed_and_counted(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        broker.publish([message()])
        release(consumer, *receive(consumer), delay=0.02, counted=True)
        assert message_of(receive(consumer)[0]).deliveries == 1

    # records --------------------------------------------------------------------------------------

    def test_a_record_comes_with_its_settlement(self, broker: Broker, consume: Consume) -> None:
        store = ForeignStore()
        assert not broker.joins(store)
        consumer = consume(records=store)
        sent = message()
        broker.publish([sent])
        ack(consumer, *receive(consumer), record=record(sent.id, SUCCESS, 5))
        assert store.records[sent.id].result == 5

    def test_a_record_of_another_store_is_kept_before_the_loan_ends(
        self, broker: Broker, consume: Consume
    ) -> None:
        store = ForeignStore()
        consumer = consume(records=store)
        sent = message()
        broker.publish([sent])
        deliveries = receive(consumer)
        places: list[str] = []

        def look() -> None:
            place = broker.admin.locate(sent.id)
            places.append("nowhere" if place is None else place.where)

        store.before = look
        ack(consumer, *deliveries, record=record(sent.id))
        assert places == ["lent"]

    def test_a_loan_is_still_held_when_its_record_could_not_be_kept(
        self, broker: Broker, consume: Consume
    ) -> None:
        store = ForeignStore()
        consumer = consume(records=store)
        sent = message()
        broker.publish([sent])
        deliveries = receive(consumer)
        store.fault = OperationalError("the result store is away")
        with pytest.raises(OperationalError, match="the result store is away"):
            settle(consumer, Verdict.ACK, *deliveries, record=record(sent.id))
        assert ids(consumer.lent()) == [sent.id]
        ack(consumer, *deliveries, record=record(sent.id))
        assert list(store.records) == [sent.id]

    def test_a_record_of_a_joined_backend_is_there_after_the_settlement(
        self, broker: Broker, consume: Consume, joined_backend: ResultBackend
    ) -> None:
        assert broker.joins(joined_backend)
        consumer = consume(records=joined_backend)
        sent = messages(3)
        broker.publish(sent)
        for number, delivery in enumerate(receive(consumer, 3)):
            kept = record(message_of(delivery).id, SUCCESS, {"number": number}, date_done="2026")
            ack(consumer, delivery, record=kept)
        for number, one in enumerate(sent):
            found = joined_backend.load(one.id)
            assert found is not None
            assert (found.status, found.result, found.date_done) == (
                SUCCESS,
                {"number": number},
                "2026",
            )

    def test_a_record_is_not_kept_when_the_loan_was_refused(
        self, broker: Broker, consume: Consume, joined_backend: ResultBackend
    ) -> None:
        consumer = consume(records=joined_backend)
        first, second = messages(2)
        broker.publish([first, second])
        ended, held = receive(consumer, 2)
        ack(consumer, ended, record=record(first.id, SUCCESS, "kept"))
        settlements = [
            Settlement(delivery=ended, verdict=Verdict.ACK, record=record(first.id, result="late")),
            Settlement(delivery=held, verdict=Verdict.ACK, record=record(second.id, result="kept")),
        ]
        assert consumer.exchange(settlements, 0).refused == settlements[:1]
        for one in (first, second):
            found = joined_backend.load(one.id)
            assert found is not None
            assert found.result == "kept"

    def test_a_record_of_a_joined_backend_wakes_who_waits_for_it(
        self, broker: Broker, consume: Consume, joined_backend: ResultBackend
    ) -> None:
        consumer = consume(records=joined_backend)
        sent = message()
        broker.publish([sent])
        deliveries = receive(consumer)
        ack(consumer, *deliveries, record=record(sent.id, SUCCESS, 5))
        found = joined_backend.wait(sent.id, 5.0)
        assert found is not None
        assert found.result == 5

    def test_a_record_comes_with_every_verdict(
        self, broker: Broker, consume: Consume, joined_backend: ResultBackend
    ) -> None:
        consumer = consume(records=joined_backend)
        for verdict in Verdict:
            sent = message()
            broker.publish([sent])
            settle(consumer, verdict, *receive(consumer), record=record(sent.id, "PROGRESS", 1))
            found = joined_backend.load(sent.id)
            assert found is not None
            assert found.status == "PROGRESS"
            broker.admin.purge(QUEUE)

    # follow-up messages ---------------------------------------------------------------------------

    def test_follow_up_messages_are_sent_with_the_settlement(
        self, broker: Broker, consume: Consume
    ) -> None:
        consumer = consume()
        broker.publish([message()])
        here, elsewhere = message("second", (1,)), message("third", queue="elsewhere")
        ack(consumer, *receive(consumer), publish=(here, elsewhere))
        (delivery,) = receive(consumer)
        assert message_of(delivery).headers == here.headers
        assert message_of(delivery).body == here.body
        assert ids(receive(consume("elsewhere"))) == [elsewhere.id]

    def test_a_follow_up_message_may_be_delayed(self, broker: Broker, consumer: Consumer) -> None:
        sent = message()
        broker.publish([sent])
        due = time.time() + 3600
        retry = message(id=sent.id, due=due, headers={"retries": 1})
        ack(consumer, *receive(consumer), publish=(retry,))
        assert consumer.exchange([], 10).deliveries == []
        (listed,) = broker.admin.delayed()
        assert listed.retries == 1
        assert listed.due == pytest.approx(due, abs=0.01)

    def test_a_follow_up_message_keeps_its_priority(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        waiting, urgent = message(priority=3), message(priority=7)
        broker.publish([message(priority=9), waiting])
        ack(consumer, *receive(consumer), publish=(urgent,))
        assert ids(receive(consumer, 2)) == [urgent.id, waiting.id]

    def test_follow_up_messages_are_not_sent_when_the_loan_was_refused(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        broker.publish([message()])
        deliveries = receive(consumer)
        ack(consumer, *deliveries)
        late = (message("late"), message("later", due=time.time() + 3600))
        assert len(settle(consumer, Verdict.ACK, *deliveries, publish=late).refused) == 1
        assert consumer.exchange([], 10).deliveries == []
        assert broker.admin.delayed() == []

    def test_follow_up_messages_go_with_a_rejection_too(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        sent, errback = message(), message("errback")
        broker.publish([sent])
        settle(consumer, Verdict.REJECT, *receive(consumer), reason="broken", publish=(errback,))
        assert ids(receive(consumer)) == [errback.id]
        assert [letter.id for letter in broker.admin.dead()] == [sent.id]

    def test_a_follow_up_message_can_be_received_in_the_same_exchange(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        broker.publish([message()])
        (delivery,) = receive(consumer)
        step = message("step")
        settlement = Settlement(delivery=delivery, verdict=Verdict.ACK, publish=(step,))
        arrived = consumer.exchange([settlement], 1).deliveries or receive(consumer)
        assert ids(arrived) == [step.id]

    def test_a_rejected_message_is_not_lent_again(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([message()])
        reject(consumer, *receive(consumer))
        assert consumer.exchange([], 10).deliveries == []
        assert consumer.lent() == []
