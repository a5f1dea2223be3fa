from __future__ import annotations

import logging
import re
from types import SimpleNamespace

import pytest

from umbel.app.routing import DeclaredQueue, Router
from umbel.exceptions import ImproperlyConfigured, QueueNotFound, UmbelWarning, UnknownOption


def route(routes, name, args=(), kwargs=None):
    return Router(routes=routes, queues=None).rule(name, args, kwargs or {}, {}, None)


class ByRegion:
    def route_for_task(self, name, args=None, kwargs=None, options=None, task=None, **kw):
        return {"queue": f"region-{kwargs['region']}"} if "region" in (kwargs or {}) else None


def by_size(name, args, kwargs, options, task=None, **kw):
    return "large" if args and args[0] > 10 else None


@pytest.mark.parametrize(
    ("routes", "name", "queue"),
    [
        ({"feed.read": "feeds"}, "feed.read", "feeds"),
        ({"feed.read": {"queue": "feeds"}}, "feed.read", "feeds"),
        ({"feed.*": "feeds"}, "feed.read", "feeds"),
        ({re.compile(r"(video|image)\..*"): "media"}, "image.resize", "media"),
        ({"feed.*": "feeds", "feed.read": "exact"}, "feed.read", "exact"),
        ([{"feed.read": "feeds"}, {"feed.*": "rest"}], "feed.write", "rest"),
        ([[("feed.*", "feeds"), ("*", "rest")]], "mail.send", "rest"),
        (({"feed.*": {"queue": SimpleNamespace(name="feeds")}},), "feed.read", "feeds"),
        ({"feed.read": "feeds"}, "mail.send", None),
        ({"feed.*": "feeds"}, "mail.send", None),
        (None, "mail.send", None),
    ],
)
def test_a_route_is_found_by_name(routes, name, queue):
    found = route(routes, name).get("queue")

    assert getattr(found, "name", found) == queue


def test_a_route_may_say_more_than_the_queue():
    assert route({"feed.*": {"queue": "feeds", "priority": 7}}, "feed.read")["priority"] == 7


def test_a_function_decides_by_the_arguments():
    assert route(by_size, "x", (11,)) == {"queue": "large"}
    assert route([by_size, {"*": "small"}], "x", (1,)) == {"queue": "small"}


@pytest.mark.parametrize("router", [ByRegion, ByRegion(), f"{__name__}.ByRegion"])
def test_a_router_of_ones_own_may_be_a_class_an_object_or_a_path(router, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, __name__, SimpleNamespace(ByRegion=ByRegion))

    assert route((router,), "x", kwargs={"region": "eu"}) == {"queue": "region-eu"}
    assert route((router,), "x") == {}


@pytest.mark.parametrize("router", ["no.such.router", 7, "umbel"])
def test_a_router_that_is_none_is_refused(router):
    with pytest.raises(ImproperlyConfigured, match="task_routes"):
        route([router], "x")


@pytest.mark.parametrize(
    ("queues", "expected"),
    [
        (None, {}),
        (
            ["a", "b"],
            {
                "a": DeclaredQueue("a", "", "direct", "a"),
                "b": DeclaredQueue("b", "", "direct", "b"),
            },
        ),
        ({"a": {"exchange": "x"}}, {"a": DeclaredQueue("a", "x", "direct", "a")}),
        (
            {"a": {"exchange": "x", "binding_key": "k"}},
            {"a": DeclaredQueue("a", "x", "direct", "k")},
        ),
        (
            [
                SimpleNamespace(
                    name="a", exchange=SimpleNamespace(name="x", type="topic"), routing_key="k.#"
                )
            ],
            {"a": DeclaredQueue("a", "x", "topic", "k.#")},
        ),
    ],
)
def test_queues_are_declared_in_every_form_that_celery_takes(queues, expected):
    router = Router(routes=None, queues=queues)

    declared = {name: queue for name, queue in router.queues.items() if name != "celery"}
    assert declared == expected


def test_the_default_queue_is_added_to_the_declared_ones_and_the_log_says_so(caplog):
    with caplog.at_level(logging.WARNING, "umbel.app.routing"):
        router = Router(routes=None, queues={"default": {"exchange": "default"}, "high": {}})

    assert list(router.queues) == ["default", "high", "celery"]
    assert "does not declare the default queue 'celery'" in caplog.text


def test_a_declared_default_queue_is_no_news(caplog):
    Router(routes=None, queues=["mail", "celery"])
    Router(routes=None, queues=None)

    assert caplog.text == ""


def test_a_queue_that_is_not_declared_is_made_or_refused():
    assert Router(routes=None, queues=["mail"]).destination("mial", None, None).queue == "mial"

    strict = Router(routes=None, queues=["mail"], create_missing=False)
    with pytest.raises(QueueNotFound, match="does not declare 'mial'; did you mean 'mail'"):
        strict.destination("mial", None, None)


@pytest.mark.parametrize(
    ("pattern", "key", "bound"),
    [
        ("feed.#", "feed.read.all", True),
        ("feed.#", "feed", True),
        ("feed.*", "feed.read", True),
        ("feed.*", "feed.read.all", False),
        ("#", "anything.at.all", True),
        ("*.critical", "db.critical", True),
        ("*.critical", "db.info", False),
    ],
)
def test_a_topic_exchange_leads_to_the_queue_whose_pattern_takes_the_key(pattern, key, bound):
    queues = {"logs": {"exchange": "topics", "exchange_type": "topic", "routing_key": pattern}}
    router = Router(routes=None, queues=queues, default="logs")

    if bound:
        assert router.destination(None, "topics", key)[:3] == ("logs", "topics", key)
    else:
        with pytest.raises(QueueNotFound, match="routing key that takes"):
            router.destination(None, "topics", key)


def test_a_fanout_exchange_takes_every_key():
    router = Router(routes=None, queues={"all": {"exchange": "x", "exchange_type": "fanout"}})

    assert router.destination(None, "x", "whatever").queue == "all"


def test_a_routing_key_alone_changes_nothing():
    assert Router(routes=None, queues=None).destination(None, None, "key")[:3] == (
        "celery",
        "",
        None,
    )


def test_what_is_no_name_is_refused():
    with pytest.raises(ImproperlyConfigured, match="7 is not the name"):
        Router(routes=None, queues=None).destination(7, None, None)


@pytest.mark.parametrize("name", ["words.*", "words.count"])
def test_an_option_that_no_route_has_is_refused_with_the_nearest(name):
    with pytest.raises(
        UnknownOption, match=r"task_routes\['words\..*no option 'qeue'.*mean 'queue'"
    ):
        Router(routes={name: {"qeue": "x"}}, queues=None)


def test_a_lenient_app_warns_about_an_option_that_no_route_has():
    with pytest.warns(
        UmbelWarning, match="'qeue2', which means nothing to Umbel; did you mean 'queue'"
    ):
        Router(routes={"a": {"qeue2": "x"}}, queues=None, strict=False)
