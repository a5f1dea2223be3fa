"""Where things lie in Redis: Celery's names where Celery looks, the prefix before everything."""

from __future__ import annotations

import json
import os
import time
import zlib

import pytest

from umbel.backends.redis import RedisBackend
from umbel.brokers.base import Settlement, Verdict
from umbel.exceptions import BackendError
from umbel.message.protocol import encode
from umbel.testing.conformance.steps import ack, ids, messages_of, receive, settle
from umbel.testing.messages import message, messages, record

pytestmark = pytest.mark.redis


def keys(server, db: int = 0) -> list[str]:
    return sorted(key.decode() for key in server.call("KEYS", "*", db=db))


def test_messages_lie_on_the_lists_of_kombu(broker, server):
    broker.publish([message(priority=priority) for priority in (0, 3, 9)])
    assert [key for key in keys(server) if key.startswith("celery")] == [
        "celery",
        "celery\x06\x163",
        "celery\x06\x169",
    ]
    (raw,) = server.call("LRANGE", "celery", 0, -1)
    envelope = json.loads(raw)
    assert envelope["properties"]["body_encoding"] == "base64"
    assert envelope["properties"]["delivery_info"] == {"exchange": "", "routing_key": "celery"}


def test_celerys_order_uses_its_four_lists_and_serves_the_first_one_first(
    make_broker, consume, server
):
    broker = make_broker(priority_order="celery")
    sent = [message(priority=priority) for priority in (9, 8, 6, 5, 3, 2, 1, 0)]
    broker.publish(sent)
    assert [key for key in keys(server) if key.startswith("celery")] == [
        "celery",
        "celery\x06\x163",
        "celery\x06\x166",
        "celery\x06\x169",
    ]
    received = messages_of(receive(consume(broker), 8))
    assert [one.priority for one in received] == [2, 1, 0, 5, 3, 8, 6, 9]


def test_what_celery_sends_is_taken_and_what_is_released_goes_where_celery_takes_it(
    broker, consume, server
):
    """kombu pushes on the left and takes from the right."""
    first, second = messages(2)
    server.call("LPUSH", "celery", encode(first))
    server.call("LPUSH", "celery", encode(second))
    consumer = consume(broker)
    deliveries = receive(consumer, 2)
    assert ids(deliveries) == [first.id, second.id]
    settle(consumer, Verdict.RELEASE, *deliveries)
    assert json.loads(server.call("RPOP", "celery"))["headers"]["id"] == first.id


def test_every_key_and_channel_carries_the_prefix(make_broker, consume, server):
    options = {"global_keyprefix": "shop:"}
    broker = make_broker(options=options)
    backend = RedisBackend(server.url, options=options)
    consumer = consume(broker, "celery", "other", records=backend)
    sent = messages(6)
    broker.publish([*sent, message(due=time.time() + 3600)])
    broker.publish([message(id="twin", due=time.time() + 3600)] * 2)
    one, two, three, four, five, _ = receive(consumer, 6)
    ack(consumer, one, record=record(sent[0].id), publish=(message(queue="third"),))
    settle(consumer, Verdict.PARK, two)
    settle(consumer, Verdict.REJECT, three, reason="no")
    settle(consumer, Verdict.RELEASE, four, delay=3600)
    settle(consumer, Verdict.RELEASE, five)
    found = keys(server)
    assert len(found) > 12
    assert [key for key in found if not key.startswith("shop:")] == []
    assert f"shop:celery-task-meta-{sent[0].id}" in found
    backend.close()


def test_nothing_is_left_of_work_that_is_done(broker, consume, server, backend):
    consumer = consume(broker, records=backend)
    broker.publish([*messages(5), message(due=time.time() + 0.02)])
    for delivery in receive(consumer, 6):
        ack(consumer, delivery)
    consumer.close()
    assert keys(server) == ["umbel:attended", "umbel:queues"]


def test_a_consumer_tells_who_it_is(broker, consume, server):
    consumer = consume(broker, "a", "b", id="host:1")
    receive_nothing(consumer)
    broker.publish([message(queue="a")])
    receive(consumer)
    (status,) = broker.admin.consumers()
    assert (status.id, status.queues, status.lent) == ("host:1", ("a", "b"), 1)
    assert 0 <= status.silent_for < 5
    info = json.loads(server.call("HGET", "umbel:consumer:info", "host:1"))
    assert info["pid"] == os.getpid()
    assert info["lists"][0] == "a\x06\x169"
    heir = broker.adopt("host:1")
    assert broker.admin.consumers() == []
    heir.close()


def test_loans_of_a_consumer_whose_info_is_gone_go_back_where_the_messages_say(
    broker, consume, server
):
    dead = consume(broker, "first", "second", id="dead")
    sent = [message(queue="second", priority=4), message(queue="first")]
    broker.publish(sent)
    receive(dead, 2)
    server.call("DEL", "umbel:consumer:info")
    broker.adopt("dead").close()
    assert [(status.name, status.ready) for status in broker.admin.queues()] == [
        ("first", 1),
        ("second", 1),
    ]
    (delivery,) = receive(consume(broker, "second", id="living"))
    assert (delivery.message.id, delivery.message.priority) == (sent[0].id, 4)


def test_a_record_is_celerys_to_the_letter(server, backend):
    backend.store(
        record(
            "task-1",
            result=5,
            date_done="2026-11-22T14:07:01.764336+00:00",
            group_id="group",
            parent_id="parent",
            extended=True,
            name="add",
            args=[2, 3],
            kwargs={},
            worker="celery@host",
            retries=0,
            queue="celery",
        )
    )
    backend.store(record("task-2", "STARTED", {"pid": 1}, ttl=None))
    raw = server.call("GET", "celery-task-meta-task-1", db=1)
    assert list(json.loads(raw).items()) == [
        ("status", "SUCCESS"),
        ("result", 5),
        ("traceback", None),
        ("children", []),
        ("date_done", "2026-11-22T14:07:01.764336+00:00"),
        ("group_id", "group"),
        ("parent_id", "parent"),
        ("name", "add"),
        ("args", [2, 3]),
        ("kwargs", {}),
        ("worker", "celery@host"),
        ("retries", 0),
        ("queue", "celery"),
        ("task_id", "task-1"),
    ]
    assert list(json.loads(server.call("GET", "celery-task-meta-task-2", db=1))) == [
        "status",
        "result",
        "traceback",
        "children",
        "date_done",
        "task_id",
    ]
    assert 86_000 < server.call("TTL", "celery-task-meta-task-1", db=1) <= 86_400
    assert server.call("TTL", "celery-task-meta-task-2", db=1) == -1


def test_a_settled_record_is_the_same_as_a_stored_one(broker, consume, server, backend):
    for url_db, one in ((1, backend), (0, RedisBackend(server.url))):
        consumer = consume(broker, id=f"worker-{url_db}", records=one)
        sent = message()
        broker.publish([sent])
        kept = record(sent.id, result={"größe": [1, None]}, date_done="2026", ttl=60.0)
        ack(consumer, *receive(consumer), record=kept)
        name = f"celery-task-meta-{sent.id}"
        settled = server.call("GET", name, db=url_db), server.call("TTL", name, db=url_db)
        assert keys(server, 1 - url_db).count(name) == 0
        one.store(kept)
        assert (server.call("GET", name, db=url_db), server.call("TTL", name, db=url_db)) == settled
        one.close()


def test_an_unready_record_that_comes_with_a_settlement_spares_a_ready_one(
    broker, consume, server, backend
):
    pickled = RedisBackend(server.url_of(2), serializer="pickle")
    for store in (backend, pickled):
        consumer = consume(broker, id=f"worker-{store.address.db}", records=store)
        sent = message()
        broker.publish([sent])
        store.store(record(sent.id, result="final"))
        retry = Settlement(
            delivery=receive(consumer)[0],
            verdict=Verdict.ACK,
            record=record(sent.id, "RETRY", {"exc_type": "E", "exc_message": [], "exc_module": ""}),
        )
        consumer.exchange([retry], 0)
        assert store.load(sent.id).result == "final"
    pickled.close()


def test_results_that_celery_compressed_can_be_read_and_are_not_replaced(server, backend):
    told = json.dumps({"status": "SUCCESS", "result": 7, "task_id": "task-1"}).encode()
    value = b"\x00celery-compressed\x00application/x-gzip\x00" + zlib.compress(told)
    server.call("SET", "celery-task-meta-task-1", value, db=1)
    assert backend.load("task-1").result == 7
    backend.store(record("task-1", "STARTED"))
    assert backend.load("task-1").result == 7


@pytest.mark.parametrize("value", [b"scrap", b"[1]", b"{}", b"\xff\x00", b'"SUCCESS"'])
def test_what_is_no_record_is_a_backend_error_that_names_the_task(server, backend, value):
    server.call("SET", "celery-task-meta-task-1", value, db=1)
    with pytest.raises(BackendError, match="the result of task-1 is not a record"):
        backend.load("task-1")


def receive_nothing(consumer) -> None:
    assert consumer.exchange([], 10).deliveries == []
