"""Chapter four: a waiting consumer costs nothing and is woken at once by what concerns it."""

# ruff: noqa: PLR2004 - numbers in a test stand where they are compared
from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median

from umbel.brokers.base import Broker, Consumer, Delivery, Verdict
from umbel.testing.conformance.kind import BrokerKind, Consume
from umbel.testing.conformance.steps import PATIENCE, ack, ids, receive, settle, together
from umbel.testing.messages import message, messages

__all__ = ["WaitChapter"]

#: A wait that was woken returns far below this, one that was not woken far above.
PROMPT = 2.0
LONG = 10.0


class WaitChapter(BrokerKind):
    """wait."""

    # What wakes -----------------------------------------------------------------------------------

    def test_a_waiting_consumer_has_a_new_message_within_moments(
        self, second_broker: Broker, consumer: Consumer
    ) -> None:
        delays: list[float] = []
        for _ in range(9):
            published_at: list[float] = []

            def publish(published_at: list[float] = published_at) -> None:
                published_at.append(time.monotonic())
                second_broker.publish([message()])

            with meanwhile(publish):
                (delivery,) = receive(consumer)
                delays.append(time.monotonic() - published_at[0])
            ack(consumer, delivery)
        assert median(delays) <= self.wakes_within

    def test_a_waiting_consumer_is_woken_by_each_of_its_queues(
        self, second_broker: Broker, consume: Consume
    ) -> None:
        consumer = consume("a", "b", "c")
        for queue in ("c", "a", "b"):
            sent = message(queue=queue, priority=5)
            with meanwhile(partial(second_broker.publish, [sent])):
                assert ids(receive(consumer)) == [sent.id]

    def test_a_waiting_consumer_is_woken_by_a_release_of_another(
        self, second_broker: Broker, consume: Consume
    ) -> None:
        other = consume(on=second_broker)
        second_broker.publish([message()])
        deliveries = receive(other)
        consumer = consume()
        with meanwhile(lambda: settle(other, Verdict.RELEASE, *deliveries)):
            self._wait_for_a_message(consumer)
        assert ids(receive(consumer)) == ids(deliveries)

    def test_a_waiting_consumer_is_woken_when_another_signs_off(
        self, second_broker: Broker, consume: Consume
    ) -> None:
        other = consume(on=second_broker)
        second_broker.publish([message()])
        deliveries = receive(other)
        consumer = consume()
        with meanwhile(other.close):
            self._wait_for_a_message(consumer)
        assert ids(receive(consumer)) == ids(deliveries)

    def test_a_waiting_consumer_is_woken_by_a_revived_dead_letter(
        self, second_broker: Broker, consumer: Consumer
    ) -> None:
        sent = message()
        second_broker.publish([sent])
        settle(consumer, Verdict.REJECT, *receive(consumer), reason="broken")
        with meanwhile(lambda: second_broker.admin.revive([sent.id])):
            self._wait_for_a_message(consumer)
        assert ids(receive(consumer)) == [sent.id]

    def test_a_message_that_is_there_already_ends_the_wait_at_once(
        self, second_broker: Broker, consumer: Consumer
    ) -> None:
        assert consumer.exchange([], 10).deliveries == []
        second_broker.publish(messages(2))
        with prompt():
            consumer.wait(LONG)
        assert receive(consumer)
        with prompt():
            consumer.wait(LONG)
        assert receive(consumer)

    def test_a_published_message_wakes_at_least_one_of_many_consumers(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        idle = [consume(on=second_broker) for _ in range(5)]
        for one in idle:
            one.exchange([], 1)
        broker.publish([message()])
        taken: list[Delivery] = []
        deadline = time.monotonic() + PATIENCE
        while not taken:
            assert time.monotonic() < deadline
            for one in idle:
                one.wait(0.01)
                taken += one.exchange([], 1).deliveries
        assert len(taken) == 1

    def test_a_readable_file_descriptor_ends_the_wait(self, consumer: Consumer) -> None:
        readable, writable = os.pipe()
        try:
            with prompt(), meanwhile(lambda: os.write(writable, b"x")):
                consumer.wait(LONG, [readable])
            with prompt():
                consumer.wait(LONG, [readable])
        finally:
            os.close(readable)
            os.close(writable)

    def test_messages_wake_beside_file_descriptors(
        self, second_broker: Broker, consumer: Consumer
    ) -> None:
        readable, writable = os.pipe()
        try:
            with prompt(), meanwhile(lambda: second_broker.publish([message()])):
                while not consumer.exchange([], 1).deliveries:
                    consumer.wait(LONG, [readable])
        finally:
            os.close(readable)
            os.close(writable)

    def test_two_threads_use_a_consumer_in_turn(self, broker: Broker, consumer: Consumer) -> None:
        lock = threading.Lock()
        sent = messages(40)
        seen: list[str] = []

        def work() -> None:
            while len(seen) < 40:
                with lock:
                    deliveries = consumer.exchange([], 1).deliveries
                    seen.extend(ids(deliveries))
                    ack(consumer, *deliveries)
                    if not deliveries:
                        consumer.wait(0.01)

        with meanwhile(partial(broker.publish, sent)):
            together(work, work)
        assert seen == ids(sent)
        assert consumer.lent() == []

    def test_a_consumer_that_another_thread_used_is_woken_and_does_not_spin(
        self, second_broker: Broker, consumer: Consumer
    ) -> None:
        """The other one lends and settles beside a loop that waits in between."""
        for _ in range(3):
            together(lambda: rounds_of_waiting(consumer, 0.02))
            assert rounds_of_waiting(consumer, 0.3) <= 40
            together(lambda: consumer.exchange([], 1))
            with meanwhile(partial(second_broker.publish, [message()])):
                self._wait_for_a_message(consumer)
            together(lambda: ack(consumer, *receive(consumer)))

    # What does not --------------------------------------------------------------------------------

    def test_a_wait_ends_when_its_time_has_passed(self, consumer: Consumer) -> None:
        with prompt():
            consumer.wait(0.05)
            consumer.wait(0.0)

    def test_waiting_on_an_empty_queue_does_not_spin(self, consumer: Consumer) -> None:
        assert rounds_of_waiting(consumer, 0.4) <= 40

    def test_waiting_costs_next_to_no_processor_time(self, consumer: Consumer) -> None:
        consumer.exchange([], 1)
        before = time.thread_time()
        rounds_of_waiting(consumer, 0.5)
        assert time.thread_time() - before < 0.1

    def test_loans_that_are_held_do_not_make_wait_spin(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        broker.publish(messages(3))
        receive(consumer, 3)
        assert rounds_of_waiting(consumer, 0.4) <= 40

    def _wait_for_a_message(self, consumer: Consumer) -> None:
        """Wait as a worker does, taking nothing, until there is something to take."""
        with prompt():
            while not (arrived := consumer.exchange([], 1).deliveries):
                consumer.wait(LONG)
            settle(consumer, Verdict.RELEASE, *arrived)


def rounds_of_waiting(consumer: Consumer, seconds: float) -> int:
    """How often ``wait`` returned within that time while there was nothing to receive."""
    rounds = 0
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        assert consumer.exchange([], 10).deliveries == []
        consumer.wait(left)
        rounds += 1
    return rounds


@contextmanager
def prompt() -> Iterator[None]:
    """See that the block ends long before a wait would have ended by itself."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < PROMPT


@contextmanager
def meanwhile(action: Callable[[], object]) -> Iterator[None]:
    """Run ``action`` in another thread a moment after the block has begun to wait."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - raised again below, in the test's thread
            errors.append(error)

    timer = threading.Timer(0.03, run)
    timer.start()
    yield
    timer.join(PATIENCE)
    assert not errors, errors
