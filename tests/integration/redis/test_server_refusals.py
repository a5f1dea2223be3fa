"""A server that answers with errors: nothing is lost, and somebody learns why."""

from __future__ import annotations

import logging
import time

import pytest
from tests.servers import redis_server

from umbel.brokers.base import Settlement, Verdict
from umbel.exceptions import OperationalError
from umbel.testing.conformance.steps import ack, eventually, ids, pause_until, receive, settle
from umbel.testing.messages import message, messages, record

pytestmark = pytest.mark.redis


def test_a_read_only_server_loses_nothing(broker, consume, server, backend):
    consumer = consume(broker, records=backend)
    sent = messages(4)
    broker.publish(sent)
    held = receive(consumer, 2)
    settlements = [
        Settlement(delivery=one, verdict=Verdict.ACK, record=record(one.message.id)) for one in held
    ]
    server.call("REPLICAOF", "127.0.0.1", "1")
    try:
        with pytest.raises(OperationalError, match="READONLY"):
            consumer.exchange(settlements, 2)
        with pytest.raises(OperationalError, match="READONLY"):
            broker.publish(messages(1), timeout=0.3)
        with pytest.raises(OperationalError, match="READONLY"):
            backend.store(record("task"))
    finally:
        server.call("REPLICAOF", "NO", "ONE")
    exchange = consumer.exchange(settlements, 2)
    assert exchange.refused == []
    assert ids(exchange.deliveries) == ids(sent[2:])


def test_a_server_without_memory_refuses_what_is_new_and_takes_what_ends(
    broker, consume, server, backend
):
    consumer = consume(broker, records=backend)
    sent = messages(3)
    broker.publish(sent)
    held = receive(consumer, 1)
    server.call("CONFIG", "SET", "maxmemory", "1")
    try:
        with pytest.raises(OperationalError, match="OOM"):
            broker.publish(messages(1), timeout=0.3)
        ack(consumer, *held)
        with pytest.raises(OperationalError, match="OOM"):
            backend.store(record("task"))
    finally:
        server.call("CONFIG", "SET", "maxmemory", "0")
    assert ids(receive(consumer, 2)) == ids(sent[1:])


def test_a_queue_whose_key_is_something_else_is_told_and_passed_by(broker, consume, server, caplog):
    server.call("SET", "broken", "a string")
    consumer = consume(broker, "broken", "celery")
    sent = messages(1)
    broker.publish(sent)
    with caplog.at_level(logging.ERROR, "umbel.broker"):
        assert ids(receive(consumer)) == ids(sent)
    assert "WRONGTYPE" in caplog.text
    with pytest.raises(OperationalError, match="WRONGTYPE"):
        broker.publish([message(queue="broken")])


def test_a_due_message_whose_key_is_something_else_stays_and_the_others_come(
    broker, consume, server, caplog
):
    """Neither does it stop the consumer, nor is anything pushed again and again."""
    due = time.time() + 0.1
    stuck = [message(priority=9, due=due, queue="broken") for _ in range(3)]
    before, after = (message(due=due + part, queue="broken") for part in (-0.01, 0.01))
    other = message()
    broker.publish([before, *stuck, after, other])
    server.call("SET", "broken\x06\x169", "a string")
    consumer = consume(broker, "broken", "celery")
    pause_until(due + 0.02)
    with caplog.at_level(logging.ERROR, "umbel.broker"):
        assert sorted(ids(receive(consumer, 3))) == sorted(ids([before, after, other]))
        for _ in range(5):
            assert consumer.exchange([], 10).deliveries == []
    assert caplog.text.count("broken\x06\x169 is no list") == 1
    assert sorted(ids(broker.admin.delayed("broken"))) == sorted(ids(stuck))
    server.call("DEL", "broken\x06\x169")
    assert ids(receive(consumer, 3)) == ids(sorted(stuck, key=lambda one: one.id))
    assert broker.admin.delayed("broken") == []


def test_a_queue_that_stays_broken_does_not_make_a_consumer_spin(broker, consume, server, caplog):
    server.call("SET", "broken", "a string")
    consumer = consume(broker, "broken", "celery")
    rounds = 0
    deadline = time.monotonic() + 0.5
    with caplog.at_level(logging.ERROR, "umbel.broker"):
        while (left := deadline - time.monotonic()) > 0:
            assert consumer.exchange([], 10).deliveries == []
            consumer.wait(left)
            rounds += 1
    assert rounds <= 5
    assert len(caplog.records) == 1
    sent = messages(1)
    broker.publish(sent)
    assert ids(receive(consumer)) == ids(sent)


def test_nothing_of_a_settlement_is_done_when_a_part_of_it_cannot_be(
    broker, consume, server, backend
):
    """Neither its result is stored, nor are the messages sent that could be."""
    consumer = consume(broker, records=backend)
    sent = messages(2)
    broker.publish(sent)
    held = receive(consumer, 2)
    server.call("SET", "umbel:dead", "a string")
    refused = Settlement(
        delivery=held[0],
        verdict=Verdict.REJECT,
        record=record(sent[0].id, "FAILURE"),
        publish=(message(queue="next"), message(queue="next", due=time.time() + 3600)),
    )
    done = Settlement(delivery=held[1], verdict=Verdict.ACK, record=record(sent[1].id))
    assert consumer.exchange([refused, done], 0).refused == [refused]
    assert backend.load(sent[0].id) is None
    assert backend.load(sent[1].id) is not None
    assert (broker.admin.purge("next"), broker.admin.delayed("next")) == ([], [])
    server.call("DEL", "umbel:dead")
    assert consumer.exchange([refused], 0).refused == []
    assert backend.load(sent[0].id).status == "FAILURE"
    assert len(broker.admin.purge("next")) == 1
    assert "next" in [one.name for one in broker.admin.queues()]


def test_a_settlement_that_cannot_be_done_leaves_its_loan_and_the_others_alone(
    broker, consume, server, caplog, backend
):
    server.call("SET", "broken", "a string")
    consumer = consume(broker, records=backend)
    sent = messages(3)
    broker.publish(sent)
    held = receive(consumer, 3)
    settlements = [
        Settlement(
            delivery=one,
            verdict=Verdict.ACK,
            record=record(one.message.id),
            publish=(message(queue="broken"),) if number == 1 else (),
        )
        for number, one in enumerate(held)
    ]
    with caplog.at_level(logging.ERROR, "umbel.broker"):
        assert consumer.exchange(settlements, 0).refused == [settlements[1]]
    assert held[1].loan in caplog.text
    assert ids(consumer.lent()) == [sent[1].id]
    server.call("DEL", "broken")
    ack(consumer, held[1])


def test_a_record_replaces_a_key_of_another_type(broker, consume, server, backend):
    consumer = consume(broker, records=backend)
    sent = message()
    broker.publish([sent])
    server.call("LPUSH", f"celery-task-meta-{sent.id}", "scrap", db=1)
    settle(consumer, Verdict.ACK, *receive(consumer), record=record(sent.id, "PROGRESS", 1))
    assert backend.load(sent.id).status == "PROGRESS"


def test_scripts_come_back_when_the_server_forgot_them(broker, consume, server, backend):
    consumer = consume(broker, records=backend)
    sent = messages(2)
    broker.publish(sent)
    held = receive(consumer, 1)
    server.call("SCRIPT", "FLUSH")
    settle(consumer, Verdict.ACK, *held, record=record(sent[0].id, "PROGRESS", 1))
    assert ids(receive(consumer)) == [sent[1].id]
    server.call("SCRIPT", "FLUSH")
    consumer.wait(0)
    assert backend.load(sent[0].id).status == "PROGRESS"


def test_a_user_without_permission_is_told_so_and_loses_nothing(
    broker, make_broker, consume, server
):
    server.call("ACL", "SETUSER", "narrow", "reset", "on", ">geheim", "+@all", "~*")
    url = server.url.replace("//", "//narrow:geheim@")
    try:
        narrow = make_broker(url)
        consumer = consume(narrow, id="narrow")
        sent = messages(1)
        broker.publish(sent)
        held = receive(consumer)
        server.call("ACL", "SETUSER", "narrow", "-lpush")
        settlement = Settlement(
            delivery=held[0], verdict=Verdict.ACK, publish=(message(queue="next"),)
        )
        with pytest.raises(OperationalError, match="can't run this command") as caught:
            consumer.exchange([settlement], 0)
        assert "geheim" not in str(caught.value)
        server.call("ACL", "SETUSER", "narrow", "+lpush")
        assert consumer.exchange([settlement], 0).refused == []
        assert len(broker.admin.purge("next")) == 1
    finally:
        server.call("ACL", "DELUSER", "narrow")


def test_the_next_due_moment_repairs_itself(broker, consume, server):
    """Whatever took the small key away: messages that wait behind it still come."""
    consumer = consume(broker)
    sent = message(due=time.time() + 0.05)
    broker.publish([sent])
    server.call("DEL", "umbel:delayed.next:celery")
    assert eventually(lambda: ids(consumer.exchange([], 10).deliveries)) == [sent.id]


def test_a_redis_cluster_is_named_as_what_it_is(make_broker):
    with redis_server(options=["--cluster-enabled", "yes"]) as server:
        server.call("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        broker = make_broker(server.url)
        eventually(lambda: b"cluster_state:ok" in server.call("CLUSTER", "INFO"))
        with pytest.raises(OperationalError, match="Redis Cluster, which is not supported"):
            broker.consume(["celery"], "worker")
