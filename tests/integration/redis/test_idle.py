"""An idle consumer costs next to nothing and is awake within a moment; a busy one is not watched."""

from __future__ import annotations

import json
import os
import time
import warnings
from statistics import median

import pytest

from umbel.brokers.base import Verdict
from umbel.brokers.redis.broker import RedisBroker
from umbel.testing.conformance.steps import ack, ids, receive, settle
from umbel.testing.messages import message, messages

pytestmark = pytest.mark.redis


def scripts_run(server) -> int:
    told = server.call("INFO", "commandstats").decode()
    return sum(
        int(line.split("calls=")[1].split(",")[0])
        for line in told.splitlines()
        if line.startswith(("cmdstat_evalsha", "cmdstat_eval:"))
    )


def test_an_idle_consumer_of_many_queues_asks_the_server_a_few_times_a_second(
    broker, consume, server
):
    consumer = consume(broker, *(f"queue-{number}" for number in range(20)))
    consumer.exchange([], 1)
    before, cost = scripts_run(server), time.thread_time()
    rounds = 0
    deadline = time.monotonic() + 2.0
    while (left := deadline - time.monotonic()) > 0:
        consumer.exchange([], 1)
        consumer.wait(min(left, 1.0))
        rounds += 1
    assert rounds <= 3
    assert scripts_run(server) - before <= 6
    assert time.thread_time() - cost < 0.02


def test_a_message_reaches_a_waiting_consumer_of_another_process_within_two_milliseconds(
    broker, consume, server
):
    consumer = consume(broker)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads
        child = os.fork()
    if child == 0:
        _send_now_and_then(server.url)
    late: list[float] = []
    while len(late) < 100:
        (delivery,) = receive(consumer)
        late.append(time.monotonic() - json.loads(delivery.message.body)[0][0])
        ack(consumer, delivery)
    os.waitpid(child, 0)
    assert median(late) < 0.002  # on a machine that does nothing else: 0.0003


def test_a_consumer_that_has_no_room_is_told_once_and_then_left_in_peace(broker, consume):
    """Messages wait, and the caller takes none: ``wait`` must not return again and again."""
    consumer = consume(broker)
    broker.publish(messages(5))
    receive(consumer, 1)
    consumer.wait(5)
    rounds = 0
    deadline = time.monotonic() + 0.3
    while (left := deadline - time.monotonic()) > 0:
        assert consumer.exchange([], 0).deliveries == []
        consumer.wait(left)
        rounds += 1
    assert rounds <= 3
    assert len(receive(consumer, 4)) == 4


def test_a_busy_consumer_is_not_told_of_every_message(broker, make_broker, consume):
    consumer = consume(broker)
    pushes: list[object] = []
    note = consumer._link.on_push
    consumer._link.on_push = lambda push: (pushes.append(push), note(push))
    sender = make_broker()
    for _ in range(50):
        sender.publish(messages(2))
        ack(consumer, *receive(consumer, 2))
    assert pushes == []


def test_parking_wakes_who_may_know_the_task(broker, make_broker, consume):

    ignorant, knowing = consume(broker), consume(make_broker(), id="knowing")
    sent = messages(1, "unknown")
    broker.publish(sent)
    held = receive(ignorant)
    assert not knowing.exchange([], 1).parked
    knowing.wait(0)
    settle(ignorant, Verdict.PARK, *held)
    start = time.monotonic()
    knowing.wait(10)
    assert time.monotonic() - start < 1
    assert knowing.exchange([], 1).parked
    assert ids(knowing.unpark(["unknown"], 1)) == ids(sent)


def test_messages_parked_from_other_queues_stay_for_their_workers(broker, consume):

    mine, other = consume(broker, "mine"), consume(broker, "other", id="other")
    broker.publish([message("task", queue="mine"), message("task", queue="other")])
    settle(mine, Verdict.PARK, *receive(mine))
    settle(other, Verdict.PARK, *receive(other))
    assert [one.queue for one in other.unpark(["task"], 10)] == ["other"]
    assert broker.admin.parked() == {"task": 1}
    assert [one.queue for one in mine.unpark(["task"], 10)] == ["mine"]


def _send_now_and_then(url: str) -> None:
    try:
        sender = RedisBroker(url)
        for _ in range(100):
            time.sleep(0.004)
            sender.publish([message(args=(time.monotonic(),))])
    finally:
        os._exit(0)
