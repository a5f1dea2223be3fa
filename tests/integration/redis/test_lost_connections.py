"""Nothing is lost and nothing is settled twice, wherever the connection breaks."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from functools import partial

import pytest

from umbel.brokers.base import Settlement, Verdict
from umbel.exceptions import ConnectionLost, OperationalError
from umbel.testing.conformance.steps import (
    ack,
    ids,
    message_of,
    receive,
    settle,
    together,
)
from umbel.testing.messages import message, messages, record

pytestmark = pytest.mark.redis


def acks(deliveries, **fields):
    return [Settlement(delivery=one, verdict=Verdict.ACK, **fields) for one in deliveries]


@pytest.mark.parametrize("repeated", [True, False], ids=["repeated", "left to the consumer"])
@pytest.mark.parametrize("fate", ["lose request", "lose answer"])
def test_an_interrupted_exchange_is_done_exactly_once(
    fate, repeated, broker, make_broker, consume, proxy, backend
):
    consumer = consume(make_broker(proxy.url), records=backend)
    sent = messages(6)
    broker.publish(sent)
    held = receive(consumer, 2)
    follow_up = message("next", queue="other")
    settlements = [
        Settlement(
            delivery=one,
            verdict=Verdict.ACK,
            record=record(message_of(one).id, result="done"),
            publish=(follow_up,) if one is held[0] else (),
        )
        for one in held
    ]
    proxy.strike(fate)
    with pytest.raises(ConnectionLost):
        consumer.exchange(settlements, 2)
    exchange = consumer.exchange(settlements if repeated else [], 2)
    assert exchange.refused == []
    assert ids(exchange.deliveries) == ids(sent[2:4])
    assert [backend.load(one.id).result for one in sent[:2]] == ["done", "done"]
    assert ids(consumer.lent()) == ids(sent[2:4])
    assert ids(broker.admin.purge("other")) == [follow_up.id]
    ack(consumer, *exchange.deliveries)
    assert ids(receive(consumer, 2)) == ids(sent[4:])


def test_a_settlement_that_was_done_is_not_refused_when_it_is_repeated_later(
    broker, make_broker, consume, proxy
):
    consumer = consume(make_broker(proxy.url))
    broker.publish(messages(1))
    settlements = acks(receive(consumer))
    proxy.strike("lose answer")
    with pytest.raises(ConnectionLost):
        consumer.exchange(settlements, 0)
    assert consumer.exchange([], 0).refused == []
    assert consumer.exchange(settlements, 0).refused == []
    assert consumer.exchange(settlements, 0).refused == settlements  # settled twice by the caller


def test_deliveries_that_got_lost_on_the_way_come_within_later_limits(
    broker, make_broker, consume, proxy
):
    consumer = consume(make_broker(proxy.url))
    sent = messages(5)
    broker.publish(sent)
    proxy.strike("lose answer")
    with pytest.raises(ConnectionLost):
        consumer.exchange([], 4)
    assert consumer.exchange([], 0).deliveries == []
    assert ids(consumer.exchange([], 3).deliveries) == ids(sent[:3])
    assert ids(consumer.exchange([], 3).deliveries) == ids(sent[3:])


def test_a_lost_delivery_ends_a_wait_at_once(broker, make_broker, consume, proxy):
    consumer = consume(make_broker(proxy.url))
    broker.publish(messages(1))
    proxy.strike("lose answer")
    with pytest.raises(ConnectionLost):
        consumer.exchange([], 1)
    consumer.exchange([], 0)
    start = time.monotonic()
    consumer.wait(10)
    assert time.monotonic() - start < 1
    consumer.wait(0.2)  # told once: a caller without room is not told again and again
    assert time.monotonic() - start > 0.15


def test_a_request_that_arrives_late_does_nothing(broker, make_broker, consume, proxy, backend):
    """The answer took too long, the consumer went on over a new connection, and then the server
    gets to read what the old one had sent."""
    consumer = consume(make_broker(proxy.url), records=backend)
    sent = messages(4)
    broker.publish(sent)
    held = receive(consumer, 1)
    proxy.strike("keep back")
    with pytest.raises(ConnectionLost):
        consumer.exchange(acks(held, record=record(sent[0].id, result="late")), 2)
    assert consumer.exchange([], 0).refused == []  # which settles, since nobody else had
    backend.forget(sent[0].id)
    proxy.deliver_kept_back()
    assert backend.load(sent[0].id) is None
    assert consumer.lent() == []
    assert ids(receive(consumer, 3)) == ids(sent[1:])


def test_unparked_messages_whose_answer_was_lost_are_delivered(broker, make_broker, consume, proxy):
    consumer = consume(make_broker(proxy.url))
    first, *sent = messages(3, "unknown")
    broker.publish([first, *sent])
    settle(consumer, Verdict.PARK, *receive(consumer, 3))
    ack(consumer, *consumer.unpark(["unknown"], 1))  # from here on the server knows the script
    proxy.strike("lose answer", marker=b"umbel:parked:")
    with pytest.raises(ConnectionLost):
        consumer.unpark(["unknown"], 10)
    deliveries = consumer.exchange([], 10).deliveries
    assert ids(deliveries) == ids(sent)
    assert all(one.parked_before for one in deliveries)


def test_a_waiting_consumer_notices_that_the_server_hung_up(broker, consume, server):
    consumer = consume(broker)
    sent = messages(1)
    consumer.exchange([], 1)
    server.call("CLIENT", "KILL", "TYPE", "normal")
    with pytest.raises(ConnectionLost):
        consumer.wait(10)
    broker.publish(sent)
    assert ids(receive(consumer)) == ids(sent)


def test_a_consumer_can_be_waited_on_while_the_server_is_away(broker, consume, server):
    consumer = consume(broker)
    server.kill()
    with pytest.raises(OperationalError):
        consumer.exchange([], 1)
    start = time.monotonic()
    consumer.wait(0.1)
    assert 0.05 < time.monotonic() - start < 5
    readable, writable = os.pipe()
    os.close(writable)
    consumer.wait(10, [readable])
    os.close(readable)
    assert time.monotonic() - start < 5


def test_a_consumer_goes_on_after_the_server_was_killed_and_came_back(
    broker, consume, server, backend
):
    consumer = consume(broker, records=backend)
    sent = messages(5)
    broker.publish(sent)
    held = receive(consumer, 3)
    before = consumer.id
    settlements = acks(held[:2], record=record(sent[0].id))
    server.kill()
    for _ in range(3):
        with pytest.raises(OperationalError):
            consumer.exchange(settlements, 1)
    server.start()
    exchange = consumer.exchange(settlements, 2)
    assert exchange.refused == []
    assert ids(exchange.deliveries) == ids(sent[3:])
    assert consumer.id == before
    assert ids(consumer.lent()) == ids(sent[2:])
    assert broker.beat([consumer.id]) == []


def test_a_consumer_registers_anew_when_the_server_has_forgotten_everything(
    forgetful, make_broker, consume
):
    broker = make_broker(forgetful.url)
    consumer = consume(broker)
    broker.publish(messages(3))
    held = receive(consumer, 3)
    before = consumer.id
    forgetful.restart()
    settlements = acks(held)
    with pytest.raises(ConnectionLost):
        consumer.exchange(settlements, 1)
    assert consumer.exchange(settlements, 1).refused == settlements
    assert consumer.id != before
    sent = messages(2)
    broker.publish(sent)
    assert ids(receive(consumer, 2)) == ids(sent)
    assert [status.id for status in broker.admin.consumers()] == [consumer.id]


def test_what_was_rescued_while_the_connection_was_down_is_refused(
    broker, make_broker, consume, proxy
):
    consumer = consume(make_broker(proxy.url))
    sent = messages(3)
    broker.publish(sent)
    first, second, third = receive(consumer, 3)
    proxy.strike("lose request")
    with pytest.raises(ConnectionLost):
        consumer.exchange(acks([first, second]), 1)
    heir = broker.adopt(consumer.id)
    settle(heir, Verdict.REJECT, *(one for one in heir.lent() if one.loan == first.loan))
    exchange = consumer.exchange(acks([first, second]), 5)
    assert [one.delivery for one in exchange.refused] == [first]
    assert exchange.deliveries == []
    assert ids(heir.lent()) == [message_of(third).id]  # still the heir's to decide about
    heir.close()
    assert ids(receive(consumer)) == [message_of(third).id]


def test_an_heir_survives_a_broken_connection(broker, make_broker, consume, proxy):
    dead = consume(broker)
    sent = messages(4)
    broker.publish(sent)
    receive(dead, 4)
    heir = make_broker(proxy.url).adopt(dead.id)
    loans = heir.lent()
    settlements = acks(loans[:2])
    proxy.strike("lose answer")
    with pytest.raises(ConnectionLost):
        heir.exchange(settlements, 0)
    assert heir.exchange(settlements, 0).refused == []
    assert ids(heir.lent()) == ids(sent[2:])
    proxy.cut()
    with pytest.raises(ConnectionLost):
        heir.close()
    heir.close()
    living = consume(broker, id="living")
    assert ids(receive(living, 2)) == ids(sent[2:])


def test_two_objects_with_one_id_never_share_messages(broker, make_broker, consume):
    first = consume(broker, id="same")
    second = consume(make_broker(), id="same")
    assert second.id != "same"
    sent = messages(4)
    broker.publish(sent)
    received = [*receive(first, 2), *receive(second, 2)]
    assert ids(received) == ids(sent)
    ack(first, *received[:2])
    ack(second, *received[2:])


@pytest.mark.parametrize("fate", ["lose request", "lose answer"])
def test_what_was_settled_when_the_connection_broke_is_not_given_back_at_the_end(
    fate, broker, make_broker, consume, proxy
):
    consumer = consume(make_broker(proxy.url))
    sent = messages(3)
    broker.publish(sent)
    settlements = acks(receive(consumer, 3)[:2])
    proxy.strike(fate)
    with pytest.raises(ConnectionLost):
        consumer.exchange(settlements, 0)
    consumer.close()
    assert ids(receive(consume(broker, id="next"))) == [sent[2].id]
    assert broker.admin.queues()[0].ready == 0


def test_an_exchange_that_a_signal_handler_interrupts_is_done_exactly_once(
    broker, consume, monkeypatch
):
    class Stop(BaseException):
        pass

    def stop(*_):
        raise Stop

    consumer = consume(broker)
    sent = messages(4)
    broker.publish(sent)
    settlements = acks(receive(consumer, 2))
    with monkeypatch.context() as patched:
        patched.setattr(consumer._link, "_answer", stop)  # the request is on its way
        with pytest.raises(Stop):
            consumer.exchange(settlements, 1)
    exchange = consumer.exchange([], 5)
    assert exchange.refused == []
    assert ids(exchange.deliveries) == ids(sent[2:])
    assert ids(consumer.lent()) == ids(sent[2:])


def test_closing_is_repeated_when_the_connection_broke(broker, make_broker, consume, proxy):
    consumer = consume(make_broker(proxy.url))
    sent = messages(2)
    broker.publish(sent)
    receive(consumer, 2)
    proxy.strike("lose answer")
    with pytest.raises(ConnectionLost):
        consumer.close()
    consumer.close()
    consumer.close()
    assert broker.admin.consumers() == []
    assert ids(receive(consume(broker, id="next"), 2)) == ids(sent)


def test_a_server_that_is_killed_again_and_again_loses_nothing(
    server, broker, make_broker, consume, backend
):
    """Two consumers and a sender on a persistent server that dies five times. What ``publish`` had
    accepted is settled, and its result is there; nothing stays lent."""
    accepted: list[str] = []
    seen: list[str] = []
    enough, over = threading.Event(), threading.Event()

    def publish():
        sender = make_broker(publish_timeout=15.0, retry_policy={"max_retries": None})
        while not enough.is_set():
            batch = messages(20)
            sender.publish(batch)
            accepted.extend(ids(batch))
            enough.wait(0.005)
        over.set()

    def work(consumer):
        settlements: list[Settlement] = []
        deadline = time.monotonic() + 60
        while not over.is_set() or settlements or not set(accepted) <= set(seen):
            assert time.monotonic() < deadline, f"{len(set(accepted) - set(seen))} are missing"
            try:
                exchange = consumer.exchange(settlements, 10)
            except OperationalError:
                over.wait(0.01)
                continue
            assert exchange.refused == []
            seen.extend(ids(exchange.deliveries))
            settlements = [
                Settlement(
                    delivery=one,
                    verdict=Verdict.ACK,
                    record=record(message_of(one).id, result="done"),
                )
                for one in exchange.deliveries
            ]

    def kill():
        for _ in range(5):
            time.sleep(0.15)
            server.kill()
            server.start()
        enough.set()

    consumers = [consume(broker, id=name, records=backend) for name in ("left", "right")]
    together(publish, kill, *(partial(work, consumer) for consumer in consumers))
    assert len(accepted) > 100
    assert set(accepted) <= set(seen)
    assert all(backend.load(one).result == "done" for one in accepted)
    assert [consumer.lent() for consumer in consumers] == [[], []]


def test_connections_that_break_at_random_lose_nothing_and_repeat_nothing(
    broker, make_broker, consume, proxy, backend
):
    """Three consumers over a line that breaks every fifth time. Whatever was lent is delivered
    once, settled once, and its follow-up sent once."""
    total = 1500
    sent = [message(args=(number,), priority=number % 3) for number in range(total)]
    broker.publish(sent)
    seen: list[str] = []
    consumers = [
        consume(make_broker(proxy.url), id=f"worker-{number}", records=backend)
        for number in range(3)
    ]
    proxy.strike_at_random(5)

    def work(consumer):
        settlements: list[Settlement] = []
        deadline = time.monotonic() + 60
        while len(seen) < total or settlements:
            assert time.monotonic() < deadline, f"{len(seen)} of {total} in time"
            try:
                exchange = consumer.exchange(settlements, 7)
                if not settlements and not exchange.deliveries:
                    consumer.wait(0.02)
            except ConnectionLost:
                continue  # and repeat the same settlements
            assert exchange.refused == []
            seen.extend(ids(exchange.deliveries))
            settlements = [
                Settlement(
                    delivery=one,
                    verdict=Verdict.ACK,
                    record=record(message_of(one).id, result=message_of(one).id),
                    publish=(message("next", id=message_of(one).id, queue="next"),),
                )
                for one in exchange.deliveries
            ]

    together(*(partial(work, consumer) for consumer in consumers))
    proxy.strike_at_random(None)
    assert proxy.cuts > 20
    assert Counter(seen) == Counter(ids(sent))
    assert Counter(ids(broker.admin.purge("next", limit=2 * total))) == Counter(ids(sent))
    assert all(backend.load(one.id).result == one.id for one in sent)
    assert sum(status.lent for status in broker.admin.queues()) == 0
    assert [consumer.id for consumer in consumers] == ["worker-0", "worker-1", "worker-2"]
