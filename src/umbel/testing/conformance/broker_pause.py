"""Chapter eleven: a paused queue lends nothing to anybody, until it is resumed."""

# ruff: noqa: PLR2004 - numbers in a test stand where they are compared
from __future__ import annotations

import threading
import time

import pytest

from umbel.brokers.base import Broker, Consumer, Verdict
from umbel.testing.conformance.kind import BrokerKind, Connect, Consume
from umbel.testing.conformance.steps import PATIENCE, QUEUE, eventually, ids, receive, settle
from umbel.testing.messages import message, messages

__all__ = ["PauseChapter"]


class PauseChapter(BrokerKind):
    """QueueAdmin.pause, resume and paused."""

    def test_a_paused_queue_lends_nothing_to_anybody_until_it_is_resumed(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        here, there = consume(), consume(on=second_broker)
        before = messages(3)
        broker.publish(before)
        second_broker.admin.pause(QUEUE)
        broker.publish([message(priority=9)])
        assert here.exchange([], 10).deliveries == []
        assert there.exchange([], 10).deliveries == []
        broker.admin.resume(QUEUE)
        assert ids(receive(there, 4))[1:] == ids(before)

    def test_other_queues_go_on_beside_a_paused_one(self, broker: Broker, consume: Consume) -> None:
        consumer = consume("rests", "works")
        sent = messages(5, queue="works")
        broker.publish([*messages(5, queue="rests"), *sent])
        broker.admin.pause("rests")
        assert ids(receive(consumer, 5)) == ids(sent)
        assert consumer.exchange([], 10).deliveries == []

    def test_a_paused_queue_takes_messages_and_its_delayed_ones_become_ready(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        broker.admin.pause(QUEUE)
        broker.publish([message(due=time.time() + 0.05), message()])

        def both_ready() -> bool:
            assert consumer.exchange([], 10).deliveries == []
            (status,) = broker.admin.queues([QUEUE])
            return (status.ready, status.delayed) == (2, 0)

        eventually(both_ready)

    def test_what_is_lent_when_the_queue_is_paused_can_be_settled_and_given_back(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        broker.publish(messages(2))
        done, late = receive(consumer, 2)
        broker.admin.pause(QUEUE)
        assert settle(consumer, Verdict.ACK, done).refused == []
        assert settle(consumer, Verdict.RELEASE, late).refused == []
        assert consumer.exchange([], 10).deliveries == []
        broker.admin.resume(QUEUE)
        assert ids(receive(consumer)) == ids([late])

    def test_parked_messages_of_a_paused_queue_stay_parked(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        broker.publish([message("unknown")])
        settle(consumer, Verdict.PARK, *receive(consumer))
        broker.admin.pause(QUEUE)
        assert consumer.unpark(["unknown"], 10) == []
        assert broker.admin.parked() == {"unknown": 1}
        broker.admin.resume(QUEUE)
        assert len(consumer.unpark(["unknown"], 10)) == 1

    def test_a_waiting_consumer_is_woken_when_the_queue_is_resumed(
        self, broker: Broker, second_broker: Broker, consumer: Consumer
    ) -> None:
        broker.publish([message()])
        broker.admin.pause(QUEUE)
        arrived: list[float] = []
        resumed: list[float] = []

        def take() -> None:
            receive(consumer)
            arrived.append(time.monotonic())

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        time.sleep(0.1)  # it sleeps; a shorter time makes the test easier, never wrong
        assert arrived == []
        resumed.append(time.monotonic())
        second_broker.admin.resume(QUEUE)
        thread.join(PATIENCE)
        # Consumers of these tests look every 0.25 seconds by themselves.
        assert arrived[0] - resumed[0] < 0.15

    def test_messages_of_a_paused_queue_do_not_make_wait_return_over_and_over(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        broker.admin.pause(QUEUE)
        broker.publish(messages(5))
        returns = 0
        deadline = time.monotonic() + 0.5
        while (left := deadline - time.monotonic()) > 0:
            assert consumer.exchange([], 10).deliveries == []
            consumer.wait(left)
            returns += 1
        assert returns <= 20

    def test_paused_queues_are_told_by_name_and_in_the_status(
        self, broker: Broker, second_broker: Broker
    ) -> None:
        assert broker.admin.paused() == []
        for name in ("zebra", "größe", "zebra"):
            broker.admin.pause(name)
        assert second_broker.admin.paused() == ["größe", "zebra"]
        found = {status.name: status.paused for status in second_broker.admin.queues(["mule"])}
        assert found == {"größe": True, "mule": False, "zebra": True}
        second_broker.admin.resume("zebra")
        second_broker.admin.resume("never paused")
        assert broker.admin.paused() == ["größe"]

    def test_a_pause_survives_a_restart_of_the_store(
        self, url: str, broker: Broker, another_broker: Connect
    ) -> None:
        if not self.survives_restart:
            pytest.skip("this kind of broker has no server to restart")
        broker.publish([message()])
        broker.admin.pause(QUEUE)
        broker.close()
        self.restart(url)
        assert another_broker().admin.paused() == [QUEUE]
