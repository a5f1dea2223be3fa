"""Chapter nine: with many threads at once, every message still runs once. Bounded in count."""

# ruff: noqa: PLR2004 - numbers in a test stand where they are compared
from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

import pytest

from umbel.brokers.base import Broker, Consumer, Settlement, Verdict
from umbel.message.message import Message
from umbel.testing.conformance.kind import BrokerKind, Connect
from umbel.testing.conformance.steps import PATIENCE, QUEUE, ids, message_of, receive, together
from umbel.testing.messages import message, messages

__all__ = ["LoadChapter"]


class LoadChapter(BrokerKind):
    """Threads and processes share brokers; each consumer belongs to one thread."""

    def test_four_consumers_take_two_thousand_messages_each_exactly_once(
        self, broker: Broker, another_broker: Connect
    ) -> None:
        sent = messages(2000)
        broker.publish(sent)
        seen: list[str] = []

        def work(owner: Broker) -> None:
            consumer = owner.consume([QUEUE], f"thread-{id(owner)}")
            _drain(consumer, seen, 2000)
            consumer.close()

        together(*(partial(work, another_broker()) for _ in range(4)))
        assert Counter(seen) == Counter(ids(sent))
        (status,) = broker.admin.queues([QUEUE])
        assert (status.ready, status.lent) == (0, 0)

    def test_batches_arrive_in_the_order_in_which_they_were_made(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        batches = [messages(number) for number in (1, 700, 1, 1300, 2)]
        broker.publish_all(iter(batches))
        sent = [one for batch in batches for one in batch]
        assert ids(receive(consumer, len(sent), limit=100)) == ids(sent)

    def test_batches_before_the_one_that_cannot_be_made_are_kept(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        sent = messages(3)

        def make() -> Iterator[Sequence[Message]]:
            yield sent[:2]
            yield sent[2:]
            raise LookupError("no more")

        with pytest.raises(LookupError, match="no more"):
            broker.publish_all(make())
        assert ids(receive(consumer, 3)) == ids(sent)
        broker.publish(after := messages(1))
        assert ids(receive(consumer)) == ids(after)

    def test_batches_may_be_made_of_what_their_maker_publishes_itself(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        inner, outer = messages(5), messages(5)

        def make() -> Iterator[Sequence[Message]]:
            for one, other in zip(outer, inner, strict=True):
                broker.publish([other])
                yield [one]

        broker.publish_all(make())
        assert Counter(ids(receive(consumer, 10))) == Counter(ids([*inner, *outer]))

    def test_delayed_messages_among_batches_stay_invisible(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        now, later = messages(3), message(due=time.time() + 3600)
        broker.publish_all([now[:1], [later, now[1]], now[2:]])
        assert ids(receive(consumer, 3)) == ids(now)
        assert [one.id for one in broker.admin.delayed(QUEUE)] == [later.id]

    def test_threads_share_one_broker_object(self, broker: Broker, consumer: Consumer) -> None:
        batches = [messages(100) for _ in range(4)]

        def send(number: int) -> None:
            for one in batches[number]:
                broker.publish([one])
                assert broker.admin.queues([QUEUE])

        together(*(partial(send, number) for number in range(4)))
        received = ids(receive(consumer, 400, limit=100))
        assert Counter(received) == Counter(ids(one for batch in batches for one in batch))
        for batch in batches:
            own = set(ids(batch))
            assert [one for one in received if one in own] == ids(batch)

    def test_publishing_and_consuming_go_on_at_the_same_time(
        self, broker: Broker, another_broker: Connect
    ) -> None:
        sent = [
            message(
                args=(number,),
                priority=number % 3,
                due=time.time() + 0.05 if number % 5 == 0 else None,
            )
            for number in range(600)
        ]
        seen: list[str] = []

        def publish(part: int) -> None:
            for start in range(part * 300, part * 300 + 300, 10):
                broker.publish(sent[start : start + 10])

        def work(owner: Broker) -> None:
            consumer = owner.consume([QUEUE], f"thread-{id(owner)}")
            _drain(consumer, seen, 600)
            consumer.close()

        together(
            partial(publish, 0),
            partial(publish, 1),
            partial(work, another_broker()),
            partial(work, another_broker()),
        )
        assert Counter(seen) == Counter(ids(sent))

    def test_messages_released_by_many_are_counted_each_time(
        self, broker: Broker, another_broker: Connect
    ) -> None:
        sent = messages(60)
        broker.publish(sent)
        seen: list[int] = []

        def work(owner: Broker) -> None:
            consumer = owner.consume([QUEUE], f"thread-{id(owner)}")
            _release_twice(consumer, seen, 60)
            consumer.close()

        together(*(partial(work, another_broker()) for _ in range(3)))
        assert seen == [2] * 60


def _drain(consumer: Consumer, seen: list[str], total: int) -> None:
    """Take and acknowledge until all of them together have seen ``total`` messages."""
    settlements: list[Settlement] = []
    deadline = time.monotonic() + 2 * PATIENCE
    while len(seen) < total or settlements:
        exchange = consumer.exchange(settlements, 20)
        assert exchange.refused == []
        seen.extend(ids(exchange.deliveries))
        settlements = [
            Settlement(delivery=delivery, verdict=Verdict.ACK) for delivery in exchange.deliveries
        ]
        assert time.monotonic() < deadline, f"{len(seen)} of {total} messages were seen in time"
        if not settlements:
            consumer.wait(0.05)


def _release_twice(consumer: Consumer, seen: list[int], total: int) -> None:
    """Release every message counted, until it comes for the third time."""
    settlements: list[Settlement] = []
    deadline = time.monotonic() + 2 * PATIENCE
    while len(seen) < total or settlements:
        exchange = consumer.exchange(settlements, 5)
        assert exchange.refused == []
        settlements = []
        for delivery in exchange.deliveries:
            done = message_of(delivery).deliveries >= 2
            if done:
                seen.append(message_of(delivery).deliveries)
            settlements.append(
                Settlement(
                    delivery=delivery,
                    verdict=Verdict.ACK if done else Verdict.RELEASE,
                    counted=not done,
                )
            )
        assert time.monotonic() < deadline, f"{len(seen)} of {total} messages were seen in time"
        if not settlements:
            consumer.wait(0.05)
