"""Sending: one deadline, one exception, and connections that threads share."""

from __future__ import annotations

import os
import threading
import time
import warnings
from functools import partial

import pytest
from tests.servers import free_port, redis_server

from umbel.brokers.redis.broker import RedisBroker
from umbel.exceptions import ImproperlyConfigured, MessageTooLarge, OperationalError
from umbel.testing.conformance.steps import eventually, ids, receive, together
from umbel.testing.messages import message, messages

pytestmark = pytest.mark.redis


def connections(server) -> int:
    """Without the one that asks."""
    return len(server.call("CLIENT", "LIST", "TYPE", "normal").splitlines()) - 1


def test_a_server_that_is_not_there_is_an_operational_error_that_names_it(make_broker):
    port = free_port()
    broker = make_broker(f"redis://:geheim@127.0.0.1:{port}/0")
    start = time.monotonic()
    with pytest.raises(OperationalError) as caught:
        broker.publish(messages(1))
    assert str(caught.value) == f"Cannot reach redis://:**@127.0.0.1:{port}/0: Connection refused"
    assert time.monotonic() - start < 2.1


@pytest.mark.parametrize("due_in", [None, 3600.0], ids=["at once", "delayed"])
def test_a_server_that_does_not_answer_is_given_up_at_the_deadline(broker, server, due_in):
    broker.publish(messages(1))
    due = None if due_in is None else time.time() + due_in
    server.freeze()
    try:
        start = time.monotonic()
        with pytest.raises(OperationalError, match="No answer from redis://"):
            broker.publish([message(due=due)], timeout=0.4)
        assert 0.35 < time.monotonic() - start < 0.9
    finally:
        server.thaw()
    broker.publish(messages(1))


def test_a_large_message_to_a_server_that_does_not_read_is_given_up_at_the_deadline(broker, server):
    large = message(body=bytes(20_000_000))
    broker.publish(messages(1))
    server.freeze()
    try:
        start = time.monotonic()
        with pytest.raises(OperationalError, match="No answer from redis://"):
            broker.publish([large], timeout=0.4)
        assert time.monotonic() - start < 0.9
    finally:
        server.thaw()


def test_publishing_rides_over_a_restart_of_the_server(broker, server):
    before, after = messages(2)
    broker.publish([before])
    server.kill()
    timer = threading.Timer(0.15, server.start)
    timer.start()
    broker.publish([after], timeout=10)
    timer.join()
    assert ids(broker.admin.purge("celery")) == [before.id, after.id]


def test_a_connection_that_died_unused_costs_no_retry(make_broker, server):
    broker = make_broker(retry_policy={"max_retries": 0})
    before, after = messages(2)
    broker.publish([before])
    server.restart()
    broker.publish([after])
    assert ids(broker.admin.purge("celery")) == [before.id, after.id]


def test_the_retry_policy_says_how_often(make_broker, server):
    server.kill()
    start = time.monotonic()
    with pytest.raises(OperationalError):
        make_broker(retry_policy={"max_retries": 0}).publish(messages(1))
    assert time.monotonic() - start < 0.1
    patient = make_broker(retry_policy={"max_retries": None, "interval_start": 0.05})
    with pytest.raises(OperationalError):
        patient.publish(messages(1), timeout=0.5)
    assert 0.4 < time.monotonic() - start < 1.0
    with pytest.raises(ImproperlyConfigured, match="did you mean 'max_retries'"):
        make_broker(retry_policy={"max_retrys": 3})


def test_threads_share_no_more_connections_than_they_use_at_once(broker, server):
    together(*(partial(_publish_often, broker) for _ in range(20)))
    assert connections(server) <= 20
    before = connections(server)
    together(*(partial(_publish_often, broker) for _ in range(20)))
    assert connections(server) <= max(before, 20)
    assert broker.admin.queues()[0].ready == 400
    broker.close()
    assert eventually(lambda: connections(server) == 0)


def test_a_batch_whose_connection_breaks_under_way_is_sent_again(broker, server):
    sent = messages(3000)

    def make():
        for start in range(0, 3000, 1000):
            yield sent[start : start + 1000]
            server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    broker.publish_all(make())
    consumer = broker.consume(["celery"], "reader")
    taken = [one for _ in range(6) for one in consumer.exchange([], 1000).deliveries]
    assert set(ids(sent)) <= {one.message.id for one in taken}
    consumer.close()


@pytest.mark.parametrize("many", [True, False], ids=["batches", "one batch"])
@pytest.mark.parametrize("step", ["post", "collect"])
def test_a_publish_that_is_interrupted_leaves_no_answers_for_the_next_to_read(broker, step, many):
    """By a time limit or Ctrl-C, which come between any two steps."""
    broker.publish(messages(1))
    link = broker.pool.take()
    broker.pool.give(link)
    whole = getattr(link, step)

    def interrupt(argument):
        if step == "post":
            whole(argument)
        raise KeyboardInterrupt

    setattr(link, step, interrupt)
    with pytest.raises(KeyboardInterrupt):
        broker.publish_all([messages(1)]) if many else broker.publish(messages(1))
    assert broker.pool.call("ECHO", "hello") == b"hello"


def test_an_interrupted_publish_gives_its_place_in_a_bounded_pool_back(make_broker):
    broker = make_broker(options={"max_connections": 1}, publish_timeout=0.5)
    broker.publish(messages(1))
    link = broker.pool.take()
    broker.pool.give(link)

    def interrupt(*_):
        raise KeyboardInterrupt

    link.idle_since = 0.0
    link.call = interrupt  # the question whether it still works
    with pytest.raises(KeyboardInterrupt):
        broker.publish(messages(1))
    del link.call
    broker.publish(messages(1))
    assert broker.admin.queues()[0].ready == 2


def test_batches_to_a_server_that_goes_away_end_with_an_operational_error(broker, server):
    made = []

    def make():
        for _ in range(5):
            made.append(messages(10))
            yield made[-1]
            server.freeze()

    start = time.monotonic()
    try:
        with pytest.raises(OperationalError, match="No answer from redis://"):
            broker.publish_all(make(), timeout=0.4)
    finally:
        server.thaw()
    assert len(made) <= 3, "nothing more is made than one batch while another is under way"
    assert time.monotonic() - start < 1.5


def test_batches_use_one_connection_where_more_must_be_waited_for(make_broker):
    broker = make_broker(options={"max_connections": 1})
    sent = messages(4)

    def make():
        for one in sent:
            broker.publish(messages(1))
            yield [one]

    broker.publish_all(make())
    assert broker.admin.queues()[0].ready == 8


def test_the_number_of_connections_can_be_bounded(make_broker, server):
    broker = make_broker(options={"max_connections": 2})
    together(*(partial(_publish_often, broker) for _ in range(8)))
    assert connections(server) <= 2
    assert broker.admin.queues()[0].ready == 80


def test_one_publish_is_one_command(broker, server):
    broker.publish(messages(1))
    server.call("CONFIG", "RESETSTAT")
    broker.publish(messages(1))
    broker.publish(messages(500))
    told = server.call("INFO", "commandstats").decode()
    counts = {
        line.split(":")[0].removeprefix("cmdstat_"): int(line.split("calls=")[1].split(",")[0])
        for line in told.splitlines()
        if line.startswith("cmdstat_")
    }
    assert {name: count for name, count in counts.items() if "config" not in name} == {
        "select": 1,
        "lpush": 2,
    }


def test_a_child_process_does_not_use_the_connection_of_its_parent(broker, server):
    broker.publish(messages(1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads
        child = os.fork()
    if child == 0:
        code = 1
        try:
            for _ in range(50):
                broker.publish(messages(1))
            code = 0
        finally:
            os._exit(code)
    for _ in range(50):
        broker.publish(messages(1))
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert broker.admin.queues()[0].ready == 101


def test_bulk_is_sent_in_bounded_pieces(broker, server, consume):
    sent = messages(2500, body=os.urandom(4000))
    broker.publish(sent)
    told = server.call("INFO", "commandstats").decode()
    assert "cmdstat_lpush:calls=4," in told  # 4 MB, or 1000 messages, in each
    assert ids(receive(consume(broker), 2500)) == ids(sent)


def test_what_is_too_large_is_refused_before_anything_is_sent(make_broker, server):
    broker = make_broker(max_message_size=2000)
    with pytest.raises(MessageTooLarge, match=r"reports\.build .* bytes, the limit is 2,000"):
        broker.publish([message("reports.build", ("x" * 2000,)), message()])
    assert server.call("DBSIZE") == 0


def test_a_wrong_password_is_named_as_the_reason_and_not_shown(opened):
    with redis_server(password="geheim") as server:
        for url, reason in (
            (server.url.replace("geheim", "falsch"), "WRONGPASS"),
            (server.url.replace(":geheim@", ""), "NOAUTH"),
        ):
            broker = RedisBroker(url)
            opened.callback(broker.close)
            start = time.monotonic()
            with pytest.raises(OperationalError, match=reason) as caught:
                broker.publish(messages(1))
            assert "does not accept this user and password" in str(caught.value)
            assert "geheim" not in str(caught.value)
            assert "falsch" not in str(caught.value)
            assert time.monotonic() - start < 0.5
        right = RedisBroker(server.url)
        opened.callback(right.close)
        right.publish(messages(1))
        assert "geheim" not in right.display_url + repr(right.address) + repr(right.pool.take())


def _publish_often(broker):
    for _ in range(10):
        broker.publish(messages(1))
