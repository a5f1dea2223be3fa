"""Chapter twelve: tasks that may not start any more are remembered, and consumers hear of news."""

# ruff: noqa: PLR2004 - numbers in a test stand where they are compared
from __future__ import annotations

import time

import pytest

from umbel.brokers.base import REVOKED_MOST, Broker, Consumer
from umbel.testing.conformance.kind import BrokerKind, Connect
from umbel.testing.conformance.steps import QUEUE, ack, eventually, receive
from umbel.testing.messages import message

__all__ = ["RevokeChapter"]

#: Moments are kept to the millisecond.
_UNIT = 0.002


class RevokeChapter(BrokerKind):
    """Broker.revoke and revoked, and Exchange.revocations."""

    def test_revoked_ids_are_remembered_with_their_moment(
        self, broker: Broker, second_broker: Broker
    ) -> None:
        until = time.time() + 3600
        assert broker.revoked() == {}
        broker.revoke(["one", "größe", "one"], until)
        broker.revoke(["two"], until + 60)
        found = second_broker.revoked()
        assert found == {
            "one": pytest.approx(until, abs=_UNIT),
            "größe": pytest.approx(until, abs=_UNIT),
            "two": pytest.approx(until + 60, abs=_UNIT),
        }

    def test_of_an_id_that_is_revoked_again_the_last_moment_counts(self, broker: Broker) -> None:
        now = time.time()
        broker.revoke(["later", "earlier"], now + 100)
        broker.revoke(["later"], now + 200)
        broker.revoke(["earlier"], now + 50)
        assert broker.revoked() == {
            "later": pytest.approx(now + 200, abs=_UNIT),
            "earlier": pytest.approx(now + 50, abs=_UNIT),
        }

    def test_a_revoked_id_is_forgotten_at_its_moment(self, broker: Broker) -> None:
        broker.revoke(["short"], time.time() + 0.05)
        broker.revoke(["long"], time.time() + 3600)
        broker.revoke(["past"], time.time() - 1)
        eventually(lambda: list(broker.revoked()) == ["long"])

    def test_only_so_many_are_remembered_and_the_last_to_be_forgotten_stay(
        self, broker: Broker
    ) -> None:
        until = time.time() + 3600
        broker.revoke([f"old-{number}" for number in range(10)], until)
        broker.revoke([f"new-{number}" for number in range(REVOKED_MOST - 5)], until + 60)
        found = broker.revoked()
        assert len(found) == REVOKED_MOST
        assert sum(name.startswith("old-") for name in found) == 5

    def test_every_exchange_tells_whether_there_is_news(
        self, broker: Broker, second_broker: Broker, consumer: Consumer
    ) -> None:
        assert consumer.exchange([], 10).revocations == 0
        second_broker.revoke(["one"], time.time() + 3600)
        first = consumer.exchange([], 10).revocations
        assert first > 0
        assert consumer.exchange([], 0).revocations == first
        broker.publish([message()])
        exchange = consumer.exchange([], 10)
        assert (len(exchange.deliveries), exchange.revocations) == (1, first)
        second_broker.revoke(["one"], time.time() + 3600)
        ack(consumer, *exchange.deliveries)
        assert consumer.exchange([], 10).revocations not in {0, first}

    def test_revoking_touches_no_message(self, broker: Broker, consumer: Consumer) -> None:
        sent = message()
        broker.publish([sent])
        broker.revoke([sent.id], time.time() + 3600)
        (delivery,) = receive(consumer)
        assert delivery.message is not None
        assert (delivery.message.id, delivery.queue) == (sent.id, QUEUE)

    def test_revoking_nothing_is_harmless(self, broker: Broker) -> None:
        broker.revoke([], time.time() + 3600)
        assert broker.revoked() == {}

    def test_what_is_revoked_survives_a_restart_of_the_store(
        self, url: str, broker: Broker, another_broker: Connect
    ) -> None:
        if not self.survives_restart:
            pytest.skip("this kind of broker has no server to restart")
        broker.revoke(["one"], time.time() + 3600)
        broker.close()
        self.restart(url)
        again = another_broker()
        assert list(again.revoked()) == ["one"]
        consumer = again.consume([QUEUE], "after-the-restart")
        assert consumer.exchange([], 1).revocations > 0
        consumer.close()
