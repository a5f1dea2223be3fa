from __future__ import annotations

import logging
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from umbel import AsyncResult, Task, Umbel
from umbel.app.context import Context
from umbel.exceptions import (
    ContentDisallowed,
    EncodeError,
    MessageTooLarge,
    OperationalError,
    QueueNotFound,
    UmbelWarning,
    UnknownOption,
)
from umbel.message.protocol import decode, decode_body

JSON = ("application/json",)


def arguments(message):
    return tuple(decode_body(message, JSON)[:2])


@pytest.fixture
def add(app):
    @app.task(name="proj.add")
    def add(x, y=0):
        return x + y

    return add


def test_a_call_waits_on_the_default_queue(app, add, sent):
    result = add.delay(2, y=3)

    [message] = sent(app)
    assert isinstance(result, AsyncResult)
    assert arguments(message) == ([2], {"y": 3})
    assert message.id == result.id == message.correlation_id
    assert message.task == result.name == "proj.add"
    assert (message.queue, message.exchange, message.priority, message.due) == (
        "celery",
        "",
        0,
        None,
    )


def test_the_headers_are_those_of_protocol_2(app, add, sent):
    result = add.apply_async((2,), {"y": 3})

    [message] = sent(app)
    assert message.headers == {
        "lang": "py",
        "task": "proj.add",
        "id": result.id,
        "shadow": None,
        "eta": None,
        "expires": None,
        "group": None,
        "group_index": None,
        "retries": 0,
        "timelimit": [None, None],
        "root_id": result.id,
        "parent_id": None,
        "argsrepr": "(2,)",
        "kwargsrepr": "{'y': 3}",
        "origin": message.headers["origin"],
        "ignore_result": False,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
    }
    assert message.headers["origin"].startswith(f"gen{os.getpid()}@")


def test_options_of_a_call_travel(app, add, sent):
    add.apply_async(
        (1,),
        task_id="my-id",
        queue="slow",
        priority=7,
        headers={"tenant": "blue"},
        time_limit=30,
        soft_time_limit=20,
        ignore_result=True,
        shadow="other",
        argsrepr="(secret)",
        reply_to="replies",
        delivery_mode="transient",
        retries=2,
        group_id="g",
        group_index=1,
        root_id="root",
        parent_id="parent",
    )

    [message] = sent(app, "slow")
    headers = message.headers
    assert message.id == "my-id"
    assert (message.queue, message.priority, message.delivery_mode) == ("slow", 7, 1)
    assert (headers["tenant"], headers["shadow"], headers["argsrepr"]) == (
        "blue",
        "other",
        "(secret)",
    )
    assert headers["timelimit"] == [30, 20]
    assert headers["ignore_result"] is True
    assert (headers["group"], headers["group_index"], headers["retries"]) == ("g", 1, 2)
    assert (headers["root_id"], headers["parent_id"]) == ("root", "parent")
    assert message.reply_to == "replies"


def test_the_positions_of_apply_async_are_those_of_celery(app, add, sent):
    add.apply_async((1,), {"y": 2}, "my-id", None, None, None, "shown")

    [message] = sent(app)
    assert (message.id, message.headers["shadow"]) == ("my-id", "shown")


def links(messages):
    [message] = messages
    embed = decode_body(message, JSON)[2]
    return [[link["args"] for link in embed[part] or ()] for part in ("callbacks", "errbacks")]


def test_callbacks_and_errbacks_travel_in_the_body(app, add, sent):
    add.apply_async((1,), link=add.s(2), link_error=[add.s(3), add.s(4)])
    assert links(sent(app)) == [[[2]], [[3], [4]]]

    app.send_task("proj.add", (1,), link=[dict(add.s(2))])
    assert links(sent(app)) == [[[2]], []]

    add.signature((1,), link_error=add.s(5)).delay()
    assert links(sent(app)) == [[], [[5]]]

    add.apply_async_many([((1,), {})], link=(add.s(6),))
    assert links(sent(app)) == [[[6]], []]

    add.apply_async((1,), link=[], link_error=())
    assert links(sent(app)) == [[], []]


def test_links_look_as_those_of_celery(app, sent):
    golden = Path(__file__).parents[1] / "message" / "golden" / "links.json"
    link = app.signature("proj.link")

    app.send_task("proj.add", (2, 3), link=link, link_error=link)

    [message] = sent(app)
    assert message.body == decode(golden.read_bytes()).body


def test_what_is_no_signature_is_refused_as_a_link(app, add):
    with pytest.raises(
        TypeError, match=r"proj\.add: link must be a signature.*did you mean add\.s"
    ):
        add.apply_async((1,), link=add)
    with pytest.raises(TypeError, match="link_error must be a signature, such as"):
        app.send_task("proj.add", link_error=["proj.add"])


def test_workflows_are_refused_instead_of_lost(add):
    with pytest.raises(TypeError, match="chord is not supported"):
        add.apply_async((1,), chord=object())


@pytest.mark.parametrize("args", ["ab", {"x": 1}, iter([1])])
def test_arguments_must_be_a_sequence(add, args):
    with pytest.raises(TypeError, match=r"proj\.add: args must be a list or tuple"):
        add.apply_async(args)


def test_keyword_arguments_must_be_a_mapping(add):
    with pytest.raises(TypeError, match=r"proj\.add: kwargs must be a mapping"):
        add.apply_async((), [1])


def test_a_call_that_does_not_fit_fails_in_the_caller(app, add, sent):
    with pytest.raises(TypeError, match=r"proj\.add\(x, y=0\): too many positional arguments"):
        add.delay(1, 2, 3)

    assert sent(app) == []


def test_arguments_are_not_checked_where_that_is_switched_off(store, sent):
    app = Umbel("proj", broker=store, strict_typing=False)
    unchecked = app.task(lambda x: x, name="unchecked")
    checked = app.task(lambda x: x, name="checked", typing=True)

    unchecked.delay()

    assert len(sent(app)) == 1
    with pytest.raises(TypeError):
        checked.delay()


def test_an_argument_that_cannot_travel_is_named(add):
    with pytest.raises(EncodeError, match=r"proj\.add: .*args\[0\]\['who'\]"):
        add.delay({"who": object()})


def test_arguments_that_are_too_large_are_refused(app, add):
    app.conf.message_max_size = 1000

    with pytest.raises(MessageTooLarge, match="message_max_size is 1000"):
        add.delay("x" * 2000)


def test_an_unknown_option_of_a_call_is_an_error(add):
    with pytest.raises(
        UnknownOption,
        match=r"a call of proj\.add has no option 'coutdown'; did you mean 'countdown'",
    ):
        add.apply_async((1,), coutdown=5)


def test_unknown_options_of_a_lenient_app_travel_as_properties(celery, sent):
    task = celery.task(lambda: None, name="x")

    task.apply_async(MessageGroupId="g")

    [message] = sent(celery)
    assert message.properties == {"MessageGroupId": "g"}


# When ---------------------------------------------------------------------------------------------


def test_a_countdown_becomes_an_aware_moment_in_utc(app, add):
    add.apply_async((1,), countdown=60)

    [message] = app.broker.admin.delayed()
    assert message.due == pytest.approx(time.time() + 60, abs=1)
    assert message.headers["eta"].endswith("+00:00")


def test_a_naive_eta_means_local_time(app, add):
    add.apply_async((1,), eta=datetime.now() + timedelta(seconds=60))  # noqa: DTZ005 - naive on purpose

    [message] = app.broker.admin.delayed()
    assert message.due == pytest.approx(time.time() + 60, abs=1)


def test_a_naive_eta_means_the_apps_zone_where_there_is_one(app, add):
    app.conf.timezone = "Asia/Tokyo"
    naive = datetime.now(ZoneInfo("Asia/Tokyo")).replace(tzinfo=None) + timedelta(seconds=60)

    add.apply_async((1,), eta=naive)

    [message] = app.broker.admin.delayed()
    assert message.due == pytest.approx(time.time() + 60, abs=1)
    assert message.headers["eta"].endswith("+09:00")


def test_a_countdown_of_nothing_is_no_delay(app, add, sent):
    add.apply_async((1,), countdown=0)

    [message] = sent(app)
    assert message.headers["eta"] is None


def test_a_moment_in_the_past_runs_at_once_and_is_logged_once_a_task(app, add, caplog, sent):
    past = datetime.now(UTC) - timedelta(hours=8)

    with caplog.at_level(logging.WARNING, "umbel.app.publisher"):
        add.apply_async((1,), eta=past)
        add.apply_async((1,), eta=past)

    assert len(sent(app)) == 2
    assert len(caplog.records) == 1
    assert "proj.add was sent with an eta 28800 seconds ago" in caplog.text


def test_a_moment_far_ahead_is_logged(add, caplog):
    with caplog.at_level(logging.INFO, "umbel.app.publisher"):
        add.apply_async((1,), eta=datetime.now(UTC) + timedelta(days=40))

    assert "proj.add was sent with an eta 40 days ahead" in caplog.text


def test_countdown_and_eta_together_are_an_error(add):
    with pytest.raises(ValueError, match="either countdown or eta"):
        add.apply_async((1,), countdown=5, eta=datetime.now(UTC))


@pytest.mark.parametrize(
    "moment_from",
    [lambda _now: 60, lambda _now: timedelta(seconds=60), lambda now: now + timedelta(seconds=60)],
    ids=["seconds", "timedelta", "datetime"],
)
def test_expires_becomes_an_aware_moment(app, add, sent, moment_from):
    add.apply_async((1,), expires=moment_from(datetime.now(UTC)))

    [message] = sent(app)
    moment = datetime.fromisoformat(message.headers["expires"])
    assert moment.timestamp() == pytest.approx(time.time() + 60, abs=30)


def test_a_task_may_expire_by_itself(app, sent):
    task = app.task(lambda: None, name="x", expires=60)

    task.delay()

    [message] = sent(app)
    assert datetime.fromisoformat(message.headers["expires"]) > datetime.now(UTC)


def test_a_call_that_has_expired_is_logged(add, caplog):
    with caplog.at_level(logging.WARNING, "umbel.app.publisher"):
        add.apply_async((1,), expires=-5)

    assert "proj.add was sent already expired" in caplog.text


# Where --------------------------------------------------------------------------------------------


def test_the_call_decides_before_the_task_before_the_route_before_the_default(app, sent):
    app.conf.task_routes = {"by.*": {"queue": "routed", "priority": 3, "serializer": "yaml"}}
    app.conf.task_default_queue = "default"
    app.conf.accept_content = ["application/json", "yaml"]
    by_route = app.task(lambda: None, name="by.route")
    by_task = app.task(lambda: None, name="by.task", queue="task", priority=5, serializer="json")
    by_nothing = app.task(lambda: None, name="nothing")

    by_route.delay()
    by_task.delay()
    by_task.apply_async(queue="call", priority=9)
    by_nothing.delay()

    [routed], [tasks], [call], [default] = (
        sent(app, q) for q in ("routed", "task", "call", "default")
    )
    assert (routed.priority, tasks.priority, call.priority, default.priority) == (3, 5, 9, 0)
    assert routed.content_type == "application/x-yaml"
    assert tasks.content_type == "application/json"


def test_what_a_task_says_may_change_at_any_time(app, add, sent):
    add.delay(1)
    add.queue = "other"
    add.delay(2)
    app.conf.task_default_queue = "changed"
    del add.queue
    add.delay(3)
    app.conf.task_ignore_result = True
    add.delay(4)

    assert arguments(sent(app)[0])[0] == [1]
    assert arguments(sent(app, "other")[0])[0] == [2]
    third, fourth = sent(app, "changed")
    assert (third.headers["ignore_result"], fourth.headers["ignore_result"]) == (False, True)


def test_priorities_are_checked(add, celery, sent):
    with pytest.raises(ValueError, match="priority must be from 0 to 9, not 10"):
        add.apply_async((1,), priority=10)
    with pytest.raises(TypeError, match="priority must be a whole number"):
        add.apply_async((1,), priority="high")

    celery.task(lambda: None, name="x").apply_async(priority=10)
    assert sent(celery)[0].priority == 9


def test_the_default_priority_is_a_setting(app, add, sent):
    app.conf.task_default_priority = 4

    add.delay(1)

    assert sent(app)[0].priority == 4


def test_an_undeclared_queue_is_refused_where_they_are_not_made(app, add):
    app.conf.task_queues = ["celery", "slow"]
    app.conf.task_create_missing_queues = False

    with pytest.raises(QueueNotFound, match="'slwo'; did you mean 'slow'"):
        add.apply_async((1,), queue="slwo")


def test_the_seeds_configuration_sends_to_a_queue_that_a_worker_reads(app, add, sent):
    app.conf.task_queues = {
        "default": {"exchange": "default"},
        "high_priority": {"exchange": "high_priority"},
    }

    add.delay(1)

    assert app.queues == ["default", "high_priority", "celery"]
    assert len(sent(app, "celery")) == 1


def test_an_exchange_leads_to_the_queue_that_is_bound_to_it(app, add, sent):
    app.conf.task_queues = {"videos": {"exchange": "media", "routing_key": "video"}}

    add.apply_async((1,), exchange="media", routing_key="video")

    [message] = sent(app, "videos")
    assert (message.exchange, message.routing_key) == ("media", "video")


def test_a_router_may_be_given_with_the_call(app, add, sent):
    class Own:
        def route(self, options, name, args, kwargs):
            return {"queue": f"own-{args[0]}"}

    add.apply_async((1,), router=Own())

    assert len(sent(app, "own-1")) == 1


# Sending in other ways ----------------------------------------------------------------------------


def test_a_task_can_be_sent_by_its_name_alone(app, sent):
    result = app.send_task("elsewhere.work", (1,), {"x": 2}, countdown=None, queue="far")

    [message] = sent(app, "far")
    assert message.task == result.name == "elsewhere.work"
    assert message.headers["ignore_result"] is None


def test_a_task_sent_by_name_keeps_its_options_where_it_is_known(app, sent):
    app.task(lambda: None, name="known", queue="own", ignore_result=True)

    result = app.send_task("known")

    assert len(sent(app, "own")) == 1
    assert result.ignored


def test_send_task_takes_a_delay(app):
    app.send_task("x", countdown=60)
    app.send_task("x", eta=datetime.now(UTC) + timedelta(seconds=60))

    assert len(app.broker.admin.delayed()) == 2


def test_many_calls_are_sent_together(app, add, sent):
    results = add.delay_many([(1, 2), [3]])
    more = add.apply_async_many([((5,), {"y": 6})], queue="celery", priority=2)

    messages = {message.id: message for message in sent(app)}
    assert [arguments(messages[result.id]) for result in results] == [([1, 2], {}), ([3], {})]
    assert arguments(messages[more[0].id]) == ([5], {"y": 6})
    assert messages[more[0].id].priority == 2
    assert messages[results[0].id].headers["argsrepr"] == "(1, 2)"
    assert messages[results[0].id].headers["root_id"] == results[0].id


def test_a_thousand_calls_are_one_round_trip(app, add, monkeypatch):
    broker, batches = app.broker, []
    monkeypatch.setattr(
        type(broker), "publish", lambda self, messages, timeout: batches.append(len(messages))
    )

    results = add.delay_many((number,) for number in range(2500))

    assert batches == [1000, 1000, 500]
    assert len({result.id for result in results}) == 2500


def test_each_of_many_calls_is_checked(app, add, sent):
    with pytest.raises(TypeError, match="missing a required argument"):
        add.delay_many([(1,), ()])

    assert sent(app) == []


def test_a_function_routes_each_of_many_calls(app, add, sent):
    app.conf.task_routes = lambda name, args, kwargs, options, task=None, **kw: f"q{args[0]}"

    add.delay_many([(1,), (2,)])

    assert (len(sent(app, "q1")), len(sent(app, "q2"))) == (1, 1)


def test_an_overridden_apply_async_is_called_by_everything(app, sent):
    class Tenant(Task):
        def apply_async(self, args=None, kwargs=None, *rest, **options):
            kwargs = {**(kwargs or {}), "tenant": "blue"}
            return super().apply_async(args, kwargs, *rest, **options)

    @app.task(base=Tenant, name="x")
    def work(number, tenant):
        return None

    work.delay(1)
    work.delay_many([(2,)])

    assert [arguments(message) for message in sent(app)] == [
        ([1], {"tenant": "blue"}),
        ([2], {"tenant": "blue"}),
    ]


def test_an_overridden_apply_async_may_send_nothing(app, sent):
    class Later(Task):
        def apply_async(self, *args, **options):
            return None

    assert app.task(lambda: None, name="x", base=Later).delay() is None
    assert sent(app) == []


def test_a_shadow_name_may_be_made_by_the_class(app, sent):
    class Named(Task):
        def shadow_name(self, args, kwargs, options):
            return f"{self.name} {args[0]}"

    app.task(lambda number: None, name="x", base=Named).delay(7)

    assert sent(app)[0].headers["shadow"] == "x 7"


def test_what_a_task_sends_belongs_to_it(app, add, sent):
    outer = app.task(lambda: None, name="outer")
    context = Context(id="parent-id", root_id="root-id", called_directly=False, hostname="celery@a")

    with outer.requested(context):
        result = add.delay(1)
        [many] = add.delay_many([(2,)])
        add.apply_async((3,), add_to_parent=False, root_id="own")

    first, second, third = sent(app)
    assert (first.headers["parent_id"], first.headers["root_id"]) == ("parent-id", "root-id")
    assert first.headers["origin"] == "celery@a"
    assert second.headers["parent_id"] == "parent-id"
    assert third.headers["root_id"] == "own"
    assert context.children == [result, many]


def test_a_task_called_like_a_function_sends_for_whoever_called_it(app, add, sent):
    @app.task(name="helper")
    def helper():
        add.delay(1)

    helper()
    with app.task(lambda: None, name="outer").requested(
        Context(id="outer-id", called_directly=False)
    ):
        helper()

    alone, within = sent(app)
    assert alone.headers["parent_id"] is None
    assert within.headers["parent_id"] == "outer-id"


def test_a_task_may_keep_no_trail(app, add):
    outer = app.task(lambda: None, name="outer", trail=False)
    context = Context(id="parent-id", called_directly=False)

    with outer.requested(context):
        add.delay(1)

    assert context.children == []


def test_an_ignored_result_says_so(app, add):
    assert add.apply_async((1,), ignore_result=True).ignored
    assert not add.delay(1).ignored


def test_the_class_of_the_result_may_be_chosen(add):
    class Own(AsyncResult):
        """A project's own."""

    assert type(add.apply_async((1,), result_cls=Own)) is Own


def test_a_broker_that_is_away_is_one_error_within_the_deadline(tmp_path):
    app = Umbel("proj", broker="redis://127.0.0.1:1/0", backend="disabled")
    task = app.task(lambda: None, name="x")
    began = time.monotonic()

    with pytest.raises(OperationalError):
        task.delay()
    with pytest.raises(task.OperationalError):
        task.apply_async(timeout=0.1)

    assert time.monotonic() - began < 3


def test_the_result_backend_is_not_asked(store):
    app = Umbel("proj", broker=store, backend="redis://127.0.0.1:1/0")

    assert app.task(lambda: None, name="x").delay().id


# The embedded broker ------------------------------------------------------------------------------


def test_the_embedded_broker_is_a_file_in_the_apps_directory(tmp_path):
    app = Umbel("proj")
    app.default_directory = tmp_path

    app.task(lambda: None, name="x").delay()

    assert (tmp_path / "umbel.sqlite3").exists()
    assert app.backend.display_url == app.broker.display_url
    app.close()


def test_sending_to_a_file_that_no_worker_ever_read_is_logged_once(tmp_path, caplog):
    app = Umbel("proj")
    app.default_directory = lambda: tmp_path
    task = app.task(lambda: None, name="x")

    with caplog.at_level(logging.WARNING, "umbel.app.publisher"):
        task.delay()
        task.delay()

    assert caplog.text.count("No worker has ever been attached to") == 1
    assert "start one: umbel -A proj worker" in caplog.text
    assert str(tmp_path / "umbel.sqlite3") in caplog.text
    assert "start one: umbel -A proj worker" in caplog.text
    app.close()


def test_once_a_worker_has_been_there_nothing_is_logged(tmp_path, caplog):
    app = Umbel("proj")
    app.default_directory = tmp_path
    app.broker.consume(["celery"], "worker").close()

    app.task(lambda: None, name="x").delay()

    assert caplog.text == ""
    app.close()


def test_after_a_fork_the_origin_is_the_childs(app, add, sent):
    add.delay(1)
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(write, app.publisher._new_origin(os.getpid())[0].encode())
        message = app.publisher._message(
            app.publisher._usual_terms(add, (1,), {}), "i", (1,), {}, None
        )
        os.write(write, b" " + message.headers["origin"].encode())
        os._exit(0)
    os.waitpid(pid, 0)
    names = os.read(read, 1000).decode().split()

    assert {name.partition("@")[0] for name in names} == {f"gen{pid}"}


def test_an_id_or_a_countdown_of_the_wrong_kind_is_refused_at_the_call(app, add, sent):
    for call in (add.apply_async, add.apply, lambda **said: app.send_task("proj.add", **said)):
        with pytest.raises(TypeError, match=r"proj\.add: task_id must be a string, not 5"):
            call(args=(1,), task_id=5)
    with pytest.raises(TypeError, match="countdown must be seconds from now"):
        add.apply_async((1,), countdown="soon")

    assert sent(app) == []


def test_a_serializer_that_its_own_workers_would_refuse_is_refused_at_the_call(app, add, sent):
    words = r"proj\.add: serializer 'pickle' is not in accept_content, which is 'json'"
    with pytest.raises(ContentDisallowed, match=words):
        add.apply_async((1,), serializer="pickle")
    assert sent(app) == []

    app.conf.accept_content = ["json", "application/x-python-serialize"]
    add.apply_async((1,), serializer="pickle")
    assert len(sent(app)) == 1


def test_a_lenient_app_warns_once_about_such_a_serializer(celery, sent):
    task = celery.task(lambda: None, name="x")

    with pytest.warns(UmbelWarning, match="not in accept_content") as said:
        task.apply_async(serializer="pickle")
    task.apply_async(serializer="pickle")  # a second warning would be an error

    assert len(said) == 1
    assert len(sent(celery)) == 2
