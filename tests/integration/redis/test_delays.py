"""Delayed messages on Redis: they cost nothing while they wait, and nothing is left of them."""

from __future__ import annotations

import os
import select
import threading
import time

import pytest

from umbel.brokers.base import Verdict
from umbel.testing.conformance.steps import ack, ids, message_of, pause_until, receive, settle
from umbel.testing.messages import message, messages

pytestmark = pytest.mark.redis


def test_ten_thousand_delayed_messages_do_not_wake_an_idle_consumer(
    broker, make_broker, consume, server
):
    consumer = consume(broker)
    consumer.exchange([], 1)
    consumer.wait(0.01)
    rounds: list[float] = []
    over, end = os.pipe()

    def wait():
        while not select.select([over], [], [], 0)[0]:
            consumer.exchange([], 1)
            consumer.wait(5, [over])
            rounds.append(time.monotonic())

    thread = threading.Thread(target=wait)
    thread.start()
    now = time.time()
    sender = make_broker()
    for number in range(0, 10_000, 20):
        sender.publish([message(due=now + 3600 + number + one) for one in range(20)])
    os.close(end)
    thread.join(10)
    os.close(over)
    assert len(rounds) <= 6
    (status,) = sender.admin.queues()
    assert status.delayed == 10_000
    assert [one.due for one in sender.admin.delayed(limit=2)] == pytest.approx(
        [now + 3600, now + 3601], abs=0.01
    )


def test_a_message_that_is_due_earlier_wakes_an_idle_consumer(broker, make_broker, consume):
    consumer = consume(broker)
    sender = make_broker()
    sender.publish([message(due=time.time() + 3600)])
    consumer.exchange([], 1)
    early = message(due=time.time() + 0.2)
    timer = threading.Timer(0.05, sender.publish, [[early]])
    timer.start()
    (delivery,) = receive(consumer)
    timer.join()
    assert message_of(delivery).id == early.id
    assert 0 <= time.time() - early.due < 0.1


def test_three_thousand_messages_of_one_moment_come_at_once_and_in_order(broker, consume):
    consumer = consume(broker)
    due = time.time() + 1.0
    sent = [message(id=f"task-{number:05}", due=due) for number in range(3000)]
    broker.publish(sent)
    assert time.time() < due, "this machine is too slow for the test"
    late: list[float] = []
    seen: list[str] = []
    while len(seen) < 3000:
        deliveries = consumer.exchange([], 250).deliveries
        late += [time.time() - due] * len(deliveries)
        seen += ids(deliveries)
        ack(consumer, *deliveries)
        if not deliveries:
            consumer.wait(2)
    assert seen == ids(sent)
    assert late[0] < 0.1
    assert late[-1] < 1.0


def test_twins_leave_nothing_behind(broker, consume, server):
    """Several delayed messages of one id: whichever goes first, all go, and so does the book of
    their numbers."""
    consumer = consume(broker)
    now = time.time()
    for offset in (0.05, 0.03, 0.04, 0.02, 3600):
        broker.publish([message(id="twin", due=now + offset)])
    assert ids(broker.admin.delayed()) == ["twin"] * 5
    ack(consumer, *receive(consumer, 4))
    assert broker.admin.cancel("twin") == 1
    assert sorted(key for key in server.call("KEYS", "umbel:delayed*")) == []


def test_cancelling_an_id_leaves_ids_that_look_like_its_twins(broker):
    due = time.time() + 3600
    broker.publish([message(id="task", due=due), message(id="task#1", due=due)])
    broker.publish([message(id="task", due=due)])
    assert broker.admin.cancel("task") == 2
    assert ids(broker.admin.delayed()) == ["task#1"]
    assert broker.admin.cancel("task#1") == 1


def test_a_release_with_a_delay_beside_a_retry_of_the_same_task(broker, consume):
    consumer = consume(broker)
    broker.publish([message(id="task", args=(1,)), message(id="task", args=(2,))])
    first, second = receive(consumer, 2)
    settle(consumer, Verdict.RELEASE, first, delay=0.05)
    retry = message(id="task", args=(3,), due=time.time() + 0.05)
    ack(consumer, second, publish=(retry,))
    received = receive(consumer, 2)
    assert sorted(message_of(one).body[:4] for one in received) == [b"[[1]", b"[[3]"]


def test_a_message_delayed_under_one_order_is_found_under_the_other(make_broker, consume):
    exact = make_broker()
    due = time.time() + 0.1
    sent = [message(priority=priority, due=due) for priority in (5, 0, 9)]
    exact.publish(sent)
    pause_until(due + 0.01)
    mixed = consume(make_broker(priority_order="celery"))
    assert ids(receive(mixed, 3)) == [sent[1].id, sent[0].id, sent[2].id]


def test_an_idle_consumer_comes_back_for_the_next_of_many_due_messages(broker, consume):
    """More are due than one step moves: none of them waits for a timeout."""
    consumer = consume(broker)
    broker.publish(messages(2500, due=time.time() + 0.3))
    start = time.monotonic()
    seen = 0
    while seen < 2500:
        deliveries = consumer.exchange([], 250).deliveries
        seen += len(deliveries)
        if deliveries:
            ack(consumer, *deliveries)
        else:
            consumer.wait(10)
    assert time.monotonic() - start < 5
