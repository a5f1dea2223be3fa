"""Queues and exchanges as objects, and where their messages go."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from umbel import Broadcast, Exchange, Queue, Umbel
from umbel.app.deployment import worker_values
from umbel.app.queues import DeclaredQueue, declared, worker_direct
from umbel.app.routing import Router
from umbel.app.terms import Conditions
from umbel.brokers.base import Binding
from umbel.brokers.private import private_queue
from umbel.exceptions import ImproperlyConfigured, QueueNotFound

FEEDS = Exchange("feeds", type="topic")


@pytest.fixture
def make_app():
    apps = []

    def make(**conf):
        apps.append(Umbel("queues", broker="memory://", set_as_current=False, **conf))
        return apps[-1]

    yield make
    for app in apps:
        app.close()


def waiting(app):
    """Queue -> ids of its messages."""
    found = {}
    for queue in app.broker.admin.queues():
        messages = app.broker.admin.purge(queue.name)
        if messages:
            found[queue.name] = [message.id for message in messages]
    return found


def test_queues_are_made_with_the_arguments_of_kombu():
    queue = Queue(
        "a", Exchange("x", type="direct"), routing_key="k", queue_arguments={"x-max-priority": 9},
        max_priority=9, expires=5.0, message_ttl=6.0, durable=False, auto_delete=True, alias="b",
    )  # fmt: skip

    assert (queue.name, queue.exchange.name, queue.exchange.type, queue.routing_key) == (
        "a", "x", "direct", "k",
    )  # fmt: skip
    assert (queue.expires, queue.message_ttl, queue.max_priority) == (5.0, 6.0, 9)
    assert (queue.durable, queue.auto_delete, queue.alias) == (False, True, "b")
    assert declared([queue]) == {"a": DeclaredQueue("a", "x", "direct", "k", alias="b")}


def test_an_exchange_may_be_given_by_its_name():
    assert declared([Queue("a", "x", "k")]) == {"a": DeclaredQueue("a", "x", "direct", "k")}


def test_foreign_objects_are_read_by_their_attributes():
    class Broadcast:
        name, alias, routing_key = "bcast.1234", "news", ""
        exchange = SimpleNamespace(name="news", type="fanout")

    assert declared([Broadcast()]) == {
        "news": DeclaredQueue("news", "news", "fanout", "", broadcast=True)
    }


def test_a_kind_of_exchange_that_does_not_exist_is_refused():
    with pytest.raises(ImproperlyConfigured, match="queue 'a' is of type 'headers'"):
        declared([Queue("a", Exchange("x", type="headers"))])
    with pytest.raises(ImproperlyConfigured, match="queue 'celery' is of type 'topics'"):
        Router(routes=None, queues=None, exchange_type="topics")


def test_a_retry_cannot_be_broadcast(make_app):
    app = make_app(task_queues=[Broadcast("news")])
    conditions = Conditions(app.conf, app.router, strict=True)

    with pytest.raises(ValueError, match="x: a retry goes to one queue, but 'news' is a broadcast"):
        conditions.retry_terms("x", {"queue": "news", "retries": 1})


def test_a_binding_without_an_exchange_is_refused():
    with pytest.raises(ImproperlyConfigured, match="a binding of 'a' names no exchange"):
        declared([Queue("a", bindings=[{"routing_key": "k"}])])


def test_a_message_to_a_topic_exchange_goes_to_every_queue_whose_pattern_takes_it(make_app):
    app = make_app(
        task_queues=[
            Queue("all", FEEDS, "feed.#"),
            Queue("urgent", FEEDS, "*.urgent"),
            Queue("mail", FEEDS, "mail.*"),
        ],
        task_default_queue="all",
    )

    result = app.send_task("x", exchange="feeds", routing_key="feed.urgent")

    assert waiting(app) == {"all": [result.id], "urgent": [result.id]}


def test_many_messages_go_to_every_queue_of_their_exchange(make_app):
    app = make_app(
        task_queues=[Queue("a", Exchange("x", "fanout")), Queue("b", Exchange("x", "fanout"))],
        task_default_queue="a",
    )

    @app.task(name="many")
    def many(number):
        return number

    results = many.apply_async_many([((1,), {}), ((2,), {})], exchange="x")

    found = waiting(app)
    assert {name: sorted(ids) for name, ids in found.items()} == {
        "a": sorted(result.id for result in results),
        "b": sorted(result.id for result in results),
    }


def test_a_queue_of_a_fanout_exchange_shares_its_messages(make_app):
    fanout = Exchange("x", "fanout")
    app = make_app(task_queues=[Queue("a", fanout), Queue("b", fanout)], task_default_queue="a")

    result = app.send_task("x", queue="b")

    assert waiting(app) == {"a": [result.id], "b": [result.id]}


def test_a_queue_may_be_bound_several_times():
    queue = Queue("a", bindings=[{"exchange": Exchange("x"), "routing_key": "1"},
                                 {"exchange": "y", "exchange_type": "fanout"}])  # fmt: skip
    router = Router(routes=None, queues=[queue], default="a")

    assert router.destination(None, "x", "1").queue == "a"
    assert router.destination(None, "y", None).queue == "a"
    assert router.bindings() == [Binding("x", "direct", "1", "a"), Binding("y", "fanout", "", "a")]


def test_the_default_queue_has_the_exchange_and_key_of_the_settings(make_app):
    app = make_app(
        task_default_queue="d",
        task_default_exchange="x",
        task_default_exchange_type="topic",
        task_default_routing_key="work.#",
    )

    assert app.router.bindings() == [Binding("x", "topic", "work.#", "d")]
    assert app.router.destination(None, "x", "work.now").queue == "d"


def test_an_alias_names_the_queue():
    router = Router(routes=None, queues=[Queue("a", alias="b")], default="a", create_missing=False)

    assert router.destination("b", None, None).queue == "a"


def test_a_named_queue_that_the_exchange_does_not_lead_to_gets_the_message_alone():
    router = Router(routes=None, queues=[Queue("a", Exchange("x"), "k")], default="a")

    assert router.destination("other", "x", "k") == ("other", "x", "k", ())


def test_nobody_reads_a_broadcast_so_nobody_gets_it(make_app, caplog):
    app = make_app(task_queues=[Broadcast("news")])

    app.send_task("x", queue="news")

    assert waiting(app) == {}
    assert "news: no worker reads it now" in caplog.text


def test_a_broadcast_goes_once_to_each_node_that_reads_it(make_app):
    app = make_app(task_queues=[Broadcast("news"), Queue("celery")])
    queues = [private_queue("news", node) for node in ("one@h", "two@h")]
    consumers = [
        app.broker.consume([queues[0]], "one@h/1/a"),
        app.broker.consume([queues[0]], "one@h/2/b"),
        app.broker.consume([queues[1]], "two@h/3/c"),
        app.broker.consume(["celery"], "three@h/4/d"),
    ]

    result = app.send_task("x", queue="news")

    assert waiting(app) == {queue: [result.id] for queue in queues}
    for consumer in consumers:
        consumer.close()


def test_a_worker_reads_a_broadcast_through_a_queue_of_its_own(make_app):
    app = make_app(task_queues=[Broadcast("news"), Queue("celery")])

    values = worker_values(app, hostname="n@h")

    assert values["queues"] == ("umbel.broadcast.news.n@h", "celery")
    assert values["private_queues"] == ("umbel.broadcast.news.n@h",)
    assert values["bindings"] == ()


def test_a_worker_may_be_told_what_to_leave_out(make_app):
    app = make_app(task_queues=["a", "b", "c"], task_default_queue="a")

    assert worker_values(app, exclude=["b"])["queues"] == ("a", "c")
    assert worker_values(app, queues=["a", "b"], exclude=["b"])["queues"] == ("a",)
    with pytest.raises(QueueNotFound, match="no queue 'bb' to leave out; did you mean 'b'"):
        worker_values(app, exclude=["bb"])
    with pytest.raises(ImproperlyConfigured, match="No queue is left"):
        worker_values(app, exclude=["a", "b", "c"])


def test_a_worker_reads_no_queue_that_must_be_declared_and_is_not(make_app):
    app = make_app(task_queues=["mail"], task_create_missing_queues=False)

    with pytest.raises(QueueNotFound, match="does not declare 'mial'; did you mean 'mail'"):
        worker_values(app, queues=["mial"])


def test_a_worker_may_have_a_queue_of_its_own(make_app):
    app = make_app(worker_direct=True, task_create_missing_queues=False)

    values = worker_values(app, hostname="n@h")
    assert values["queues"] == ("celery", "n@h.dq2")
    assert Binding("C.dq2", "direct", "n@h", "n@h.dq2") in values["bindings"]

    result = app.send_task("x", queue=worker_direct("n@h"))
    assert waiting(app) == {"n@h.dq2": [result.id]}


def test_the_queues_of_this_process_are_chosen_in_the_program_too(make_app):
    app = make_app(task_queues=["a", "b", "c"], task_default_queue="a")

    app.select_queues("b")
    assert app.queues == ["b"]
    app.amqp.queues.select(["b", "c", "other"])
    app.amqp.queues.deselect("c")
    assert list(app.amqp.queues.consume_from) == ["b", "other"]
    assert sorted(app.amqp.queues) == ["a", "b", "c"]


def test_the_router_answers_with_the_options_and_the_queue(make_app):
    app = make_app(
        task_queues=[Queue("feeds", FEEDS, "feed.#")],
        task_routes={"feed.*": {"queue": "feeds", "priority": 7}},
    )

    route = app.amqp.router.route({"priority": None, "countdown": 3}, "feed.read")

    assert (route["queue"].name, route["queue"].exchange.name) == ("feeds", "feeds")
    assert (route["priority"], route["countdown"]) == (7, 3)
    assert app.amqp.queues["feeds"].routing_key == "feed.#"
    assert app.amqp.router.route({}, "mail.send")["queue"].name == "celery"
