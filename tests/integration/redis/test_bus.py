"""The bus of Redis uses Celery's channels and reply lists, behind the prefix."""

from __future__ import annotations

import json

import pytest

from umbel.exceptions import ConnectionLost, OperationalError
from umbel.testing.conformance.broker_bus import hear
from umbel.testing.conformance.steps import eventually

pytestmark = pytest.mark.redis

BINDINGS = "_kombu.binding.reply.celery.pidbox"
DEADLINES = "_kombu.binding_deadlines"


@pytest.fixture(params=["", "shop:"])
def prefix(request):
    return request.param


@pytest.fixture
def bus(make_broker, server, prefix):
    return make_broker(server.url_of(2), options={"global_keyprefix": prefix}).bus


@pytest.fixture
def mailbox(bus):
    opened = bus.open_mailbox("home")
    yield opened
    opened.close()


def envelope(payload):
    return json.dumps({"body": json.dumps(payload), "properties": {}}).encode()


def test_topics_are_channels_of_the_database(bus, server, prefix):
    listener = bus.listen(["celery.pidbox", "celeryev/*"])
    channels = server.call("PUBSUB", "CHANNELS")
    assert channels == [f"{prefix}/2.celery.pidbox".encode()]
    assert server.call("PUBSUB", "NUMPAT") == 1
    for number, channel in enumerate(["2.celery.pidbox", "1.celery.pidbox", "2.celeryev/task.x"]):
        server.call("PUBLISH", f"{prefix}/{channel}", envelope(number))
    heard = hear(listener, 2)
    assert [(one.topic, one.payload) for one in heard] == [
        ("celery.pidbox", 0),
        ("celeryev/task.x", 2),
    ]
    listener.close()
    assert eventually(lambda: server.call("PUBSUB", "NUMPAT") == 0)


def test_what_cannot_be_read_does_not_hinder_what_follows(bus, server, prefix):
    listener = bus.listen(["celery.pidbox"])
    server.call("PUBLISH", f"{prefix}/2.celery.pidbox", b"scrap")
    bus.publish("celery.pidbox", "fine")
    assert [one.payload for one in hear(listener)] == ["fine"]
    listener.close()


def test_a_mailbox_is_found_where_celery_looks_for_it(bus, server, prefix, mailbox):
    member = b"home\x06\x16\x06\x16home.reply.celery.pidbox"
    assert server.call("SMEMBERS", prefix + BINDINGS, db=2) == [member]
    (exchange, deadline) = server.call("ZRANGE", prefix + DEADLINES, 0, -1, "WITHSCORES", db=2)
    assert exchange == b"reply.celery.pidbox"
    seconds, _ = server.call("TIME")
    assert 3500 < int(deadline) / 1000 - int(seconds) <= 3601
    server.call("LPUSH", f"{prefix}home.reply.celery.pidbox", envelope({"w": 1}), db=2)
    assert hear(mailbox)[0].payload == {"w": 1}


def test_nothing_is_left_of_a_closed_mailbox(bus, server, mailbox, prefix):
    bus.send_to("home", 1)
    mailbox.close()
    assert server.call("KEYS", "*", db=2) == [(prefix + DEADLINES).encode()]


def test_a_reply_that_nobody_fetches_expires(bus, server, mailbox, prefix):
    bus.send_to("home", 1)
    assert 0 < server.call("PTTL", f"{prefix}home.reply.celery.pidbox", db=2) <= 10_000


def test_a_reply_to_nobody_leaves_nothing(bus, server):
    bus.send_to("nobody", 1)
    assert server.call("KEYS", "*", db=2) == []


def test_a_later_deadline_of_celery_is_kept_and_an_earlier_one_raised(bus, server, prefix):
    for given in (1, 10**15):
        server.call("ZADD", prefix + DEADLINES, given, "reply.celery.pidbox", db=2)
        bus.open_mailbox("home").close()
        score = float(server.call("ZSCORE", prefix + DEADLINES, "reply.celery.pidbox", db=2))
        assert (score == given) == (given > 1)


def test_bindings_that_dead_owners_left_are_forgotten_after_their_deadline(bus, server, prefix):
    server.call("SADD", prefix + BINDINGS, "left-behind", db=2)
    server.call("ZADD", prefix + DEADLINES, 1, "reply.celery.pidbox", db=2)
    mailbox = bus.open_mailbox("home")
    assert len(server.call("SMEMBERS", prefix + BINDINGS, db=2)) == 1
    mailbox.close()


def test_a_listener_says_that_the_connection_is_lost_and_then_listens_anew(bus, server):
    listener = bus.listen(["celery.pidbox"])
    server.call("CLIENT", "KILL", "TYPE", "pubsub")
    with pytest.raises(ConnectionLost):
        listener.wait(10)
    listener.wait(0)
    bus.publish("celery.pidbox", "again")
    assert hear(listener)[0].payload == "again"
    listener.close()


def test_an_owner_hears_that_the_connection_is_lost_and_then_looks_anew(bus, server, mailbox):
    mailbox.wait(0)
    server.call("CLIENT", "KILL", "TYPE", "normal")
    with pytest.raises(ConnectionLost):
        mailbox.wait(10)
    bus.send_to("home", "again")
    assert hear(mailbox)[0].payload == "again"


def test_an_idle_connection_that_died_is_not_published_on(bus, server):
    listener = bus.listen(["celery.pidbox"])
    bus.publish("celery.pidbox", 1)
    server.call("CLIENT", "KILL", "TYPE", "normal")
    bus.publish("celery.pidbox", 2)
    assert [one.payload for one in hear(listener, 2)] == [1, 2]
    listener.close()


def test_a_server_that_is_down_or_silent_is_told_in_time(bus, server):
    server.freeze()
    try:
        with pytest.raises(OperationalError):
            bus.publish("celery.pidbox", 1, timeout=0.2)
    finally:
        server.thaw()
    server.kill()
    with pytest.raises(OperationalError):
        bus.publish("celery.pidbox", 1, timeout=0.2)
    with pytest.raises(OperationalError):
        bus.send_to("home", 1)
    with pytest.raises(ConnectionLost):
        bus.listen(["celery.pidbox"])
