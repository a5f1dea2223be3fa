"""Options that cannot work: refused where they are written, at the declaration, in settings or at the call."""

from __future__ import annotations

import math
import warnings
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from umbel import Celery, Task, Umbel, shared_task
from umbel.app.option_kinds import TASK_KINDS
from umbel.app.options import TASK_OPTIONS
from umbel.exceptions import ImproperlyConfigured, UmbelWarning, UnknownOption

#: Options of a task that may be anything, or are judged by others.
FREE = {
    "name", "abstract", "shared", "lazy", "filter", "backend", "Strategy", "Request",
    "pydantic", "pydantic_strict", "pydantic_context", "pydantic_dump_kwargs",
}  # fmt: skip

CANNOT_WORK = [
    ("time_limit", "a", "a number of seconds, 0 or more"),
    ("time_limit", -1, "a number of seconds, 0 or more"),
    ("time_limit", math.nan, "a number of seconds, 0 or more"),
    ("time_limit", True, "a number of seconds, 0 or more"),
    ("soft_time_limit", "a", "a number of seconds, 0 or more"),
    ("soft_time_limit", timedelta(1), "a number of seconds, 0 or more"),
    ("soft_time_limit", 1e300, "a number of seconds, 0 or more"),
    ("autoretry_for", "x", "exception classes"),
    ("autoretry_for", ("ValueError",), "exception classes"),
    ("dont_autoretry_for", (int,), "exception classes"),
    ("throws", "ValueError", "exception classes"),
    ("throws", ValueError("x"), "exception classes"),
    ("retry_backoff", "z", "True, False or a number of seconds, 0 or more"),
    ("retry_backoff_max", None, "a number of seconds, 0 or more"),
    ("retry_kwargs", 5, "a dict"),
    ("retry_kwargs", None, "a dict"),
    ("retry_kwargs", {"max_retries": "z"}, "None for no end"),
    ("max_retries", "z", "a whole number, 0 or more, or None for no end"),
    ("default_retry_delay", "z", "a number of seconds, 0 or more, or a timedelta"),
    ("ignore_result", "no", "True or False"),
    ("acks_late", 2, "True or False"),
    ("rate_limit", "10/q", "such as '10/s'"),
    ("priority", "high", "a whole number from 0 to 9"),
    ("expires", "soon", "seconds, a datetime or its ISO 8601 text"),
    ("queue", 5, "a name or an object that has one"),
    ("delivery_mode", 7, "2 or 'persistent', 1 or 'transient'"),
    ("base", "proj.Task", "a class"),
]

#: What Celery puts up with.
ODD = [
    ("max_retries", -1, "None for no end"),
    ("retry_backoff", -1, "True, False or a number"),
    ("default_retry_delay", -1, "or a timedelta"),
    ("priority", 77, "a whole number from 0 to 9"),
    ("serializer", "jsn", "the name of a serializer; did you mean 'json'?"),
    ("compression", "gzp", "the name of a compression; did you mean 'gzip'?"),
]

RIGHT = {
    "time_limit": [None, 0, 1.5],
    "max_retries": [None, 0, math.inf],
    "default_retry_delay": [None, 0.5, timedelta(minutes=1)],
    "autoretry_for": [None, ValueError, (ValueError, OSError), [KeyError], {KeyError}, ()],
    "throws": [KeyError, (KeyError,)],
    "retry_kwargs": [{}, {"max_retries": 5, "countdown": 1}],
    "retry_backoff": [True, False, 2],
    "ignore_result": [None, True, 0],
    "serializer": [None, "json", "pickle"],
    "priority": [None, 0, 9],
    "expires": [10, timedelta(1), datetime.now(UTC), "2040-01-01T00:00:00"],
    "queue": ["slow", SimpleNamespace(name="slow"), {"name": "slow"}],
    "rate_limit": ["10/m", 5],
    "delivery_mode": ["transient", 2],
}


def test_every_option_of_a_task_has_a_kind():
    assert TASK_KINDS.keys() == {option.name for option in TASK_OPTIONS} - FREE


def test_every_default_is_of_its_kind(app):
    app.task(lambda: None, name="x", **{
        option.name: option.default for option in TASK_OPTIONS if option.name not in FREE
    })  # fmt: skip


@pytest.mark.parametrize(("option", "value", "expected"), CANNOT_WORK + ODD)
def test_a_value_that_cannot_work_is_refused_at_the_declaration(app, option, value, expected):
    with pytest.raises(ImproperlyConfigured) as refusal:
        app.task(lambda: None, name="proj.x", **{option: value})

    assert str(refusal.value).startswith("task proj.x ")
    assert f"{option}=" in str(refusal.value) or f"in {option} has" in str(refusal.value)
    assert expected in str(refusal.value)
    assert "proj.x" not in app.tasks


@pytest.mark.parametrize(
    ("option", "value"), [(o, v) for o, values in RIGHT.items() for v in values]
)
def test_a_value_that_works_is_taken(app, option, value):
    app.task(lambda: None, name="proj.x", **{option: value})

    assert "proj.x" in app.tasks


@pytest.mark.parametrize(("option", "value", "expected"), CANNOT_WORK)
def test_a_lenient_app_refuses_what_would_fail_in_a_worker(celery, option, value, expected):
    with pytest.raises(ImproperlyConfigured, match=option):
        celery.task(lambda: None, name="proj.x", **{option: value})


@pytest.mark.parametrize(("option", "value", "expected"), ODD)
def test_a_lenient_app_warns_once_of_what_celery_puts_up_with(celery, option, value, expected):
    name = f"proj.odd_{option}"
    with pytest.warns(UmbelWarning) as seen:
        celery.task(lambda: None, name=name, **{option: value})

    assert [str(warning.message) for warning in seen] == [
        f"task {name} has {option}={value!r}; expected {TASK_KINDS[option].expects}"
        + expected.removeprefix(TASK_KINDS[option].expects) * ("did you mean" in expected)
    ]
    assert seen[0].filename == __file__
    assert getattr(celery.tasks[name], option) == value


def test_a_soft_limit_that_comes_too_late_is_warned_of(app):
    with pytest.warns(
        UmbelWarning,
        match=r"task late has soft_time_limit=5 and time_limit=1: its process is ended",
    ):
        app.task(lambda: None, name="late", soft_time_limit=5, time_limit=1)


@pytest.mark.parametrize("name", ["soft", "both"])
def test_limits_in_their_order_are_no_news(app, name):
    app.task(lambda: None, name=name, soft_time_limit=5, time_limit=None if name == "soft" else 6)

    assert app.tasks[name].soft_time_limit == 5


def test_what_a_class_says_is_checked_when_its_task_is_registered(app):
    class Slow(Task):
        name = "proj.slow"
        max_retries = "z"

    with pytest.raises(ImproperlyConfigured, match=r"task proj\.slow has max_retries='z'"):
        app.register_task(Slow)
    with pytest.raises(ImproperlyConfigured, match=r"task proj\.x has max_retries='z'"):
        app.task(lambda: None, name="proj.x", base=Slow)
    assert not app.tasks


def test_a_property_of_a_class_is_not_asked(app):
    class Chosen(Task):
        name = "proj.chosen"

        @property
        def queue(self):
            raise AssertionError("it is too early to know")

    app.register_task(Chosen)

    assert "proj.chosen" in app.tasks


def test_a_shared_task_is_checked_before_there_is_an_app():
    with pytest.raises(ImproperlyConfigured, match="time_limit='a'"):
        shared_task(name="proj.x", time_limit="a")(lambda: None)


def test_a_shared_task_is_judged_by_each_app(store):
    shared_task(name="proj.shared", priority=77)(lambda: None)

    with pytest.warns(UmbelWarning, match="priority=77"):
        Celery("lenient", broker=store)
    with pytest.raises(ImproperlyConfigured, match="priority=77"):
        Umbel("strict", broker=store)


def test_annotations_are_checked_also_for_tasks_that_are_not_here(store):
    app = Umbel("proj", broker=store, task_annotations={"proj.elsewhere": {"rate_limt": "1/s"}})

    with pytest.raises(
        UnknownOption,
        match=r"task_annotations of proj\.elsewhere has no option 'rate_limt'; did you mean 'rate_limit'",
    ):
        app.import_modules()


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        (
            {"*": {"time_limit": "a"}},
            r"task_annotations of \* has time_limit='a'; expected a number",
        ),
        ({"proj.x": 5}, r"task_annotations of proj\.x are 5; expected a dict of options"),
        ([5], "task_annotations holds 5"),
    ],
)
def test_annotations_that_cannot_work_are_refused_when_a_worker_starts(store, setting, says):
    app = Umbel("proj", broker=store, task_annotations=setting)

    with pytest.raises(ImproperlyConfigured, match=says):
        app.import_modules()


def test_routes_with_values_that_cannot_work_are_refused_when_a_worker_starts(store):
    app = Umbel("proj", broker=store, task_routes={"proj.*": {"time_limit": "5"}})

    with pytest.raises(ImproperlyConfigured, match=r"task_routes\['proj\.\*'\] has time_limit='5'"):
        app.import_modules()


# Calls --------------------------------------------------------------------------------------------


@pytest.fixture
def add(app):
    return app.task(lambda x=0, **more: x, name="proj.add")


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"time_limit": "5"}, TypeError, "time_limit must be a number of seconds, 0 or more, not '5'"),
        ({"soft_time_limit": "1"}, TypeError, "soft_time_limit must be a number of seconds"),
        ({"soft_time_limit": -1}, ValueError, "soft_time_limit must be a number of .*, not -1"),
        ({"time_limit": -1}, ValueError, "time_limit must be a number of seconds"),
        ({"time_limit": math.nan}, ValueError, "time_limit must be .*, not nan"),
        ({"timeout": "x"}, TypeError, "timeout must be a number of seconds"),
        ({"retries": "x"}, TypeError, "retries must be a whole number, 0 or more, not 'x'"),
        ({"ignore_result": "no"}, TypeError, "ignore_result must be True or False, not 'no'"),
        ({"headers": [1]}, TypeError, "headers must be a dict whose keys are strings"),
        ({"headers": {2: "x"}}, ValueError, "headers must be a dict whose keys are strings"),
        ({"retry_policy": 3}, TypeError, "retry_policy must be a dict"),
        ({"eta": datetime(1, 1, 1)}, ValueError, "eta=0001-01-01 00:00:00 is not between the years"),  # noqa: DTZ001
        ({"eta": "soon"}, ValueError, "eta='soon' is not an ISO 8601"),
        ({"countdown": math.nan}, ValueError, "countdown is nan seconds"),
        ({"kwargs": {2: 3}}, TypeError, "the keys of kwargs must be strings, not 2"),
    ],
)  # fmt: skip
def test_an_option_that_cannot_work_is_refused_at_the_call(app, add, sent, options, error, says):
    with pytest.raises(error, match=rf"^proj\.add: {says}"):
        add.apply_async(**options)

    assert sent(app) == []


@pytest.mark.parametrize("keyword", ["apply_async_many", "send_task", "retry", "eager"])
def test_whichever_way_it_is_called(app, add, keyword):
    call = {
        "apply_async_many": lambda: add.apply_async_many([((1,), {})], time_limit="5"),
        "send_task": lambda: app.send_task("proj.add", time_limit="5"),
        "retry": lambda: retried(add),
        "eager": lambda: eager(app, add),
    }[keyword]

    with pytest.raises(TypeError, match=r"proj\.add: time_limit must be a number"):
        call()


def retried(add):
    add.push_request(id="an-id", called_directly=False, retries=0)
    try:
        add.retry(time_limit="5")
    finally:
        add.pop_request()


def eager(app, add):
    app.conf.task_always_eager = True
    add.apply_async(time_limit="5")


def test_keys_that_are_no_strings_are_found_among_many_calls_and_by_name(app, add):
    with pytest.raises(TypeError, match=r"proj\.add: the keys of kwargs must be strings, not 2"):
        add.apply_async_many([((), {}), ((), {2: 3})])
    with pytest.raises(TypeError, match=r"proj\.far: the keys of kwargs must be strings, not 2"):
        app.send_task("proj.far", kwargs={2: 3})


def test_a_soft_limit_of_a_call_that_comes_too_late_is_warned_of_once(app, add, sent):
    with pytest.warns(UmbelWarning, match=r"a call of proj\.add has soft_time_limit=2 and") as seen:
        _ = [add.apply_async(time_limit=1, soft_time_limit=2) for _ in range(2)]

    assert len(seen) == 1
    assert seen[0].filename == __file__
    assert len(sent(app)) == 2


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        (None, TypeError, "by its name, which is a string, not None"),
        (5, TypeError, "by its name, which is a string, not 5"),
        ("", ValueError, "by its name, not by an empty string"),
    ],
)
def test_what_is_no_name_cannot_be_sent(app, sent, name, error, says):
    with pytest.raises(error, match=says):
        app.send_task(name)

    assert sent(app) == []


def test_a_misspelt_key_of_retry_policy_is_refused_or_warned_of(app, celery, add):
    with pytest.raises(
        UnknownOption,
        match=r"retry_policy in a call of proj\.add has no option 'max_retrys'.*'max_retries'",
    ):
        add.apply_async(retry_policy={"max_retrys": 3})
    with pytest.warns(UmbelWarning, match="did you mean 'interval_step'"):
        celery.send_task("proj.add", retry_policy={"interval_stepp": 3})


@pytest.mark.parametrize("header", ["task", "id", "root_id", "timelimit", "compression"])
def test_a_header_by_which_the_message_is_told_is_refused(app, add, sent, header):
    with pytest.raises(
        ValueError, match=rf"proj\.add: headers names '{header}', which the message"
    ):
        add.apply_async(headers={header: "proj.echo", "mine": 1})

    assert sent(app) == []


def test_a_lenient_app_leaves_such_a_header_out_and_says_so_once(celery, sent):
    add = celery.task(lambda: None, name="proj.add")
    headers = {"task": "proj.echo", "id": "x", "mine": 1}

    with pytest.warns(UmbelWarning, match=r"headers names 'id', 'task'.*They are left out") as seen:
        results = [add.apply_async(headers=headers) for _ in range(2)]

    assert len(seen) == 1
    message = sent(celery)[-1]
    assert (message.task, message.id, message.headers["mine"]) == ("proj.add", results[-1].id, 1)


def test_right_options_say_nothing(app, add, sent):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        add.apply_async(
            (1,), {"y": 2}, time_limit=2, soft_time_limit=1.5, retries=0, timeout=1, ignore_result=True,
            headers={"mine": 1}, retry_policy={"max_retries": 1}, expires=60,
        )  # fmt: skip

    [message] = sent(app)
    assert message.headers["timelimit"] == [2, 1.5]
    assert message.headers["mine"] == 1
