"""Configurations as people break them, and the words that each is answered with, at the first reading."""

from __future__ import annotations

import logging
import sys
import time
import types
import warnings

import pytest

from umbel import Celery, Umbel
from umbel.app.config import Config
from umbel.app.deployment import worker_values
from umbel.app.settings import ENVIRONMENT, SETTINGS
from umbel.app.settings_table.setting import ACCEPTED
from umbel.exceptions import ImproperlyConfigured, UmbelWarning


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch):
    for variables in ENVIRONMENT.values():
        for variable in variables:
            monkeypatch.delenv(variable, raising=False)


def complaints(configure, *, strict=True):
    """What is said, as an error or as warnings, until ``task_serializer`` has been read."""
    conf = Config(strict=strict)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            configure(conf)
            _ = conf.task_serializer
        except ImproperlyConfigured as error:
            return [f"error: {error}"]
    assert all(issubclass(warning.category, UmbelWarning) for warning in seen)
    return [f"warning: {warning.message}" for warning in seen]


def source(given, namespace=None):
    return lambda conf: conf.add_source(given, namespace=namespace)


def module(**names):
    made = types.ModuleType("proj.celeryconfig")
    made.__dict__.update(names)
    return made


class DjangoSettings:
    CELERY_TASK_ALWAYS_EAGR = True


BROKEN = {
    "a name misspelt in a dict": (
        source({"task_serialiser": "json"}),
        ["error: task_serialiser in a dict is not a setting; did you mean 'task_serializer'?"],
    ),
    "a name misspelt in a module": (
        source(module(task_serialiser="json")),
        [
            ("warning: task_serialiser in module proj.celeryconfig is not a setting and has no effect; "
            "did you mean 'task_serializer'?")
        ],
    ),
    "a name misspelt in Django's settings": (
        source(DjangoSettings, "CELERY"),
        [
            (f"warning: CELERY_TASK_ALWAYS_EAGR in class {__name__}.DjangoSettings is not a setting and "
            "has no effect; did you mean 'CELERY_TASK_ALWAYS_EAGER'?")
        ],
    ),
    "a name misspelt under our own prefix": (
        source({"UMBEL_TASK_MAX_DELIVERY": 3}, "CELERY"),
        [
            ("error: UMBEL_TASK_MAX_DELIVERY in a dict is not a setting; "
            "did you mean 'UMBEL_TASK_MAX_DELIVERIES'?")
        ],
    ),
    "a name that Celery never had": (
        source({"CELERY_SOFT_TIME_LIMIT": 30}, "CELERY"),
        [
            ("warning: CELERY_SOFT_TIME_LIMIT in a dict is not a setting and has no effect; "
            "did you mean 'CELERY_TASK_SOFT_TIME_LIMIT'?")
        ],
    ),
    "an old name misspelt": (
        source({"CELERYD_CONCURENCY": 4}),
        [
            ("warning: CELERYD_CONCURENCY in a dict is not a setting and has no effect; "
            "did you mean 'worker_concurrency'?")
        ],
    ),
    "the namespace forgotten": (
        source({"CELERY_TASK_ALWAYS_EAGER": True}),
        [
            ("warning: CELERY_TASK_ALWAYS_EAGER in a dict is not read: that spelling needs "
            "namespace='CELERY'; without a namespace write task_always_eager")
        ],
    ),
    "old and new names mixed": (
        source({"task_serializer": "json", "CELERY_TASK_SERIALIZER": "yaml"}),
        [
            ("error: a dict gives task_serializer twice: task_serializer = 'json' and "
            "CELERY_TASK_SERIALIZER = 'yaml'; remove CELERY_TASK_SERIALIZER")
        ],
    ),
    "a duration that is none": (
        source({"CELERY_TASK_TIME_LIMIT": "soon"}, "CELERY"),
        [
            ("error: task_time_limit (CELERY_TASK_TIME_LIMIT in a dict) is 'soon', expected a number of "
            "seconds, 0 or more, or a timedelta")
        ],
    ),
    "a flag that is none": (
        source({"task_always_eager": "maybe"}),
        ["error: task_always_eager (a dict) is 'maybe', expected True or False"],
    ),
    "a comma too many": (
        lambda conf: conf.update(task_serializer=("json",)),
        [
            ("error: task_serializer is ('json',), expected the name of a serializer "
            "(a tuple of one: is there a comma too many after it?)")
        ],
    ),
    "an address instead of a URL": (
        source({"broker_url": "localhost:6379"}),
        [
            ("error: broker_url (a dict) is 'localhost:6379', expected a URL such as "
            "redis://localhost:6379/0, with '://' after the scheme")
        ],
    ),
    "a password that is not encoded": (
        source({"broker_url": "redis://:pa#ss@localhost:6379/0"}),
        [
            ("error: broker_url (a dict) is 'redis://:********@localhost:6379/0', its port is not a number "
            "from 0 to 65535 (special characters in a password must be percent-encoded)")
        ],
    ),
    "a time zone that is none": (
        lambda conf: conf.update(timezone="Asia/Shangai"),
        [
            ("error: timezone is 'Asia/Shangai', there is no such time zone; "
            "did you mean 'Asia/Shanghai'?")
        ],
    ),
    "a word that is none of the choices": (
        lambda conf: conf.update(redis_priority_order="celary"),
        [
            ("error: redis_priority_order is 'celary', expected 'umbel' or 'celery'; "
            "did you mean 'celery'?")
        ],
    ),
    "an option misspelt": (
        lambda conf: conf.update(broker_transport_options={"global_key_prefix": "a"}),
        [
            ("error: broker_transport_options has no option 'global_key_prefix'; "
            "did you mean 'global_keyprefix'?")
        ],
    ),
    "a list where a dict belongs": (
        lambda conf: conf.update(broker_transport_options=[("global_keyprefix", "a")]),
        [
            "error: broker_transport_options is [('global_keyprefix', 'a')], expected a dict"
        ],
    ),
    "a queue that is none": (
        source({"CELERY_TASK_QUEUES": ["a", 5]}, "CELERY"),
        [
            ("error: task_queues (CELERY_TASK_QUEUES in a dict) is ['a', 5], but 5 in it is no queue; "
            "expected its name, a dict with 'name', or an object with name and routing_key")
        ],
    ),
    "a log format with a name of nothing": (
        source({"CELERY_WORKER_LOG_FORMAT": "%(mesage)s"}, "CELERY"),
        [
            ("error: worker_log_format (CELERY_WORKER_LOG_FORMAT in a dict) is '%(mesage)s', but log "
            "records have no 'mesage'; did you mean 'message'?")
        ],
    ),
    "a serializer misspelt in a list": (
        source({"accept_content": ["jsn"]}),
        [
            ("error: accept_content (a dict) is ['jsn'], there is no serializer 'jsn'; "
            "did you mean 'json'?")
        ],
    ),
    "a limit that would make all workers dead": (
        source({"worker_heartbeat_limit": 0}),
        [
            ("error: worker_heartbeat_limit (a dict) is 0, expected a number of seconds above 0, "
            "or a timedelta")
        ],
    ),
    "a module that is not there": (
        source("no_such_project.settings"),
        [
            ("error: the settings in 'no_such_project.settings' cannot be imported: "
            "ModuleNotFoundError: No module named 'no_such_project'")
        ],
    ),
    "a function that is not there": (
        source("json:Settings"),
        [
            ("error: the settings in 'json:Settings' cannot be imported: "
            "AttributeError: module 'json' has no attribute 'Settings'")
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_configuration_is_answered_with_the_words_that_mend_it(name):
    configure, words = BROKEN[name]
    began = time.monotonic()

    assert complaints(configure) == words
    assert time.monotonic() - began < 1.0


def test_a_module_with_an_error_inside_is_named_with_the_error(tmp_path, monkeypatch):
    (tmp_path / "proj_broken.py").write_text("task_serializer = undefined_name")
    monkeypatch.syspath_prepend(str(tmp_path))

    assert complaints(source("proj_broken")) == [
        (
            "error: the settings in 'proj_broken' cannot be imported: "
            "NameError: name 'undefined_name' is not defined"
        )
    ]
    assert "proj_broken" not in sys.modules


def test_a_broken_variable_of_the_environment_is_named(monkeypatch):
    monkeypatch.setenv("CELERY_BROKER_URL", "redis//localhost")

    assert complaints(lambda _: None) == [
        (
            "error: broker_url (environment CELERY_BROKER_URL) is 'redis//localhost', expected a URL such as "
            "redis://localhost:6379/0, with '://' after the scheme"
        )
    ]


def test_a_lenient_app_answers_a_misspelt_name_with_a_warning():
    assert complaints(source({"task_serialiser": "json"}), strict=False) == [
        (
            "warning: task_serialiser in a dict is not a setting and has no effect; "
            "did you mean 'task_serializer'?"
        )
    ]


def test_a_long_value_is_cut_in_the_message():
    (text,) = complaints(lambda conf: conf.update(task_time_limit="x" * 1000))

    assert len(text) < 300
    assert "x…, expected" in text


# The seed ---------------------------------------------------------------------------------------------------


def seed(conf):
    """The whole configuration of the seed note, without the comma that stands at its end."""
    conf.update(
        task_queues={
            "default": {"exchange": "default"},
            "high_priority": {"exchange": "high_priority"},
        },
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
    )
    conf.beat_schedule = {"daily-task": {"task": "tasks.daily_task", "schedule": 3600.0}}


def test_the_configuration_of_the_seed_note_is_read():
    conf = Config(
        strict=False,
        arguments={
            "broker_url": "redis://localhost:6379/0",
            "result_backend": "redis://localhost:6379/1",
        },
    )
    with warnings.catch_warnings():
        if SETTINGS["beat_schedule"].status == ACCEPTED:
            warnings.simplefilter("ignore", UmbelWarning)
        seed(conf)

    assert conf.broker_url == "redis://localhost:6379/0"
    assert conf.result_backend == "redis://localhost:6379/1"
    assert set(conf.task_queues) == {"default", "high_priority"}
    assert conf.task_serializer == conf.result_serializer == "json"
    assert conf.accept_content == ["json"]
    assert conf.beat_schedule["daily-task"]["schedule"] == 3600.0
    assert conf.origin("broker_url") == "the app's arguments"
    assert conf.origin("accept_content") == "app.conf"


@pytest.mark.parametrize("strict", [True, False], ids=["strict", "lenient"])
def test_the_comma_at_the_end_of_the_seeds_schedule_is_found(strict):
    def configure(conf):
        conf.beat_schedule = ({"daily-task": {"task": "tasks.daily_task", "schedule": 3600.0}},)

    (text,) = complaints(configure, strict=strict)

    assert (
        "beat_schedule is ({'daily-task': {'task': 'tasks.daily_task', 'schedule': 3600.0}},)"
        in text
    )
    assert "expected a dict of name and entry" in text
    assert "is there a comma too many after it?" in text


def test_the_settings_of_the_seed_note_in_django_are_read():
    names = {
        "CELERY_BROKER_URL": "redis://localhost:6379/0",
        "CELERY_RESULT_BACKEND": "redis://localhost:6379/1",
        "CELERYBEAT_SCHEDULER": "djcelery.schedulers.DatabaseScheduler",
    }
    conf = Config(strict=True)
    conf.add_source(types.SimpleNamespace(**names), namespace="CELERY")
    with warnings.catch_warnings():
        if SETTINGS["beat_scheduler"].status == ACCEPTED:
            warnings.simplefilter("ignore", UmbelWarning)
        assert conf.broker_url == "redis://localhost:6379/0"

    assert conf.result_backend == "redis://localhost:6379/1"
    assert conf.beat_scheduler == "djcelery.schedulers.DatabaseScheduler"


@pytest.mark.parametrize("setting", ["imports", "include"])
def test_a_module_that_is_not_there_is_named_with_its_setting(setting):
    app = Umbel(broker="memory://", **{setting: ["nosuch.tasks"]})

    with pytest.raises(
        ImproperlyConfigured,
        match=f"{setting} names 'nosuch.tasks', but there is no module 'nosuch'",
    ):
        app.import_modules()


@pytest.mark.parametrize("join", [list, ";".join])
def test_of_several_brokers_the_first_is_used_and_one_warning_says_so(join):
    app = Umbel(broker=join(["memory://one", "memory://:secret@two"]), backend="disabled://")

    with pytest.warns(UmbelWarning) as said:
        first, second = app.broker, app.open_broker()

    [warning] = said
    assert str(warning.message) == (
        "only the first of the 2 URLs in broker_url is used, memory://one: "
        "there is no failover from one broker to another"
    )
    assert first.display_url == second.display_url == "memory://one"


@pytest.mark.parametrize("join", [list, tuple, ";".join, "; ".join])
def test_of_several_result_backends_the_first_is_used_and_one_warning_says_so(join):
    urls = join(["memory://:secret@one", "memory://two"])
    app = Umbel(broker="memory://", backend=urls)

    with pytest.warns(UmbelWarning) as said:
        first, second = app.backend, app.open_backend()

    [warning] = said
    assert str(warning.message) == (
        "only the first of the 2 URLs in result_backend is used, memory://:**@one: "
        "there is no failover from one result backend to another"
    )
    assert first.display_url == second.display_url == "memory://:**@one"


def test_a_semicolon_within_the_url_of_a_result_backend_separates_nothing():
    app = Umbel(broker="memory://", backend="memory://one;driver=two")

    assert app.backend.display_url == "memory://one;driver=two"


@pytest.mark.parametrize("urls", ["memory://;memory://", ["memory://", "memory://"]])
def test_several_brokers_are_not_complained_about_twice_when_they_are_the_result_backend_too(urls):
    app = Umbel(broker=urls)

    with pytest.warns(UmbelWarning, match="URLs in broker_url") as said:
        assert (app.broker.display_url, app.backend.display_url) == ("memory://", "memory://")

    assert len(said) == 1


@pytest.mark.parametrize("value", [["memory://", "redis"], ["memory://", 5], ["redis://a:x"]])
def test_each_of_several_result_backends_has_to_be_a_url(value):
    with pytest.raises(ImproperlyConfigured, match="result_backend"):
        Umbel(broker="memory://", backend=value).conf.result_backend  # noqa: B018 - reading checks


@pytest.mark.parametrize("written", [1, "1"])
def test_the_old_message_protocol_is_refused_because_it_is_read_but_not_written(written):
    with pytest.raises(ImproperlyConfigured) as refused:
        Umbel(broker="memory://", task_protocol=written)

    assert str(refused.value) == (
        f"task_protocol is {written!r}, "
        "but messages are written in protocol 2 only; protocol 1 is read"
    )


def test_the_lenient_app_warns_once_of_the_old_message_protocol_and_writes_the_new_one():
    app = Celery(broker="memory://")
    app.config_from_object({"CELERY_TASK_PROTOCOL": 1})

    with pytest.warns(UmbelWarning) as said:
        read = app.conf.task_protocol
    app.conf.task_protocol = 1

    assert (read, app.conf.task_protocol) == (2, 2)
    [warning] = said
    assert str(warning.message) == (
        "task_protocol (CELERY_TASK_PROTOCOL in a dict) is 1, "
        "but messages are written in protocol 2 only; protocol 1 is read. 2 is used"
    )


def test_a_message_protocol_that_nobody_knows_is_refused_by_both_apps():
    for app in (Umbel, Celery):
        with pytest.raises(ImproperlyConfigured, match="task_protocol is 3, expected 2"):
            app(broker="memory://", task_protocol=3)


@pytest.mark.parametrize(
    ("name", "value"),
    [("task_serializer", 5), ("accept_content", ["jsn"]), ("worker_log_format", "%(nope)s")],
)
def test_what_a_program_set_wrongly_is_found_when_a_worker_starts(name, value):
    app = Umbel("proj", broker="memory://")
    app.conf[name] = value

    with pytest.raises(ImproperlyConfigured, match=f"{name} is "):
        app.import_modules()


def test_a_log_format_may_use_what_the_programs_own_records_have(monkeypatch):
    make = logging.getLogRecordFactory()

    def traced(*arguments, **keywords):
        record = make(*arguments, **keywords)
        record.trace = "none"
        return record

    monkeypatch.setattr(logging, "_logRecordFactory", traced)
    conf = Config(strict=True, arguments={"worker_log_format": "%(trace)s %(message)s"})

    assert conf.worker_log_format == "%(trace)s %(message)s"


def test_a_heartbeat_limit_within_the_interval_is_refused():
    app = Umbel("proj", broker="memory://", worker_heartbeat_limit=5)

    with pytest.raises(
        ImproperlyConfigured, match="is 5, which has to be more than worker_heartbeat_interval, 5:"
    ):
        worker_values(app)
