"""``app.conf``: reading and setting, and which of several values wins."""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from unittest import mock

import pytest

from umbel.app.config import Config
from umbel.app.settings import ENVIRONMENT, SETTINGS
from umbel.exceptions import ImproperlyConfigured, UmbelWarning


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch):
    for variables in ENVIRONMENT.values():
        for variable in variables:
            monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def conf():
    return Config(strict=True)


@pytest.fixture
def lenient():
    return Config(strict=False)


# Reading and setting --------------------------------------------------------------------------------------


def test_a_setting_that_nobody_gave_has_its_default(conf):
    assert conf.task_serializer == "json"
    assert conf["task_serializer"] == "json"
    assert conf.get("task_serializer") == "json"
    assert conf.origin("task_serializer") == "default"


def test_a_setting_is_set_as_attribute_as_item_and_by_update(conf):
    conf.task_time_limit = timedelta(minutes=1)
    conf["task_soft_time_limit"] = "30"
    conf.update({"task_max_deliveries": 1}, result_extended="yes")

    assert conf.task_time_limit == 60.0
    assert conf.task_soft_time_limit == 30.0
    assert conf.task_max_deliveries == 1
    assert conf.result_extended is True
    assert conf.changes == {
        "task_time_limit": 60.0,
        "task_soft_time_limit": 30.0,
        "task_max_deliveries": 1,
        "result_extended": True,
    }
    assert conf.origin("task_time_limit") == "app.conf"


def test_every_spelling_names_the_same_setting(conf):
    conf.CELERY_ALWAYS_EAGER = True
    conf.update({"CELERY_TASK_EAGER_PROPAGATES": True, "UMBEL_PUBLISH_TIMEOUT": 1})

    assert conf.task_always_eager is True
    assert conf["CELERY_TASK_ALWAYS_EAGER"] is True
    assert conf.task_eager_propagates is True
    assert conf.publish_timeout == 1.0
    assert set(conf.changes) == {"task_always_eager", "task_eager_propagates", "publish_timeout"}


def test_an_update_with_one_wrong_value_changes_nothing(conf):
    with pytest.raises(ImproperlyConfigured):
        conf.update(task_serializer="pickle", task_time_limit="soon")

    assert conf.changes == {}
    assert conf.task_serializer == "json"


def test_an_update_that_says_two_things_of_one_setting_is_refused(conf):
    with pytest.raises(
        ImproperlyConfigured, match="as task_serializer and as CELERY_TASK_SERIALIZER"
    ):
        conf.update({"task_serializer": "json", "CELERY_TASK_SERIALIZER": "yaml"})


def test_none_is_the_same_as_not_given_where_it_is_no_value(conf):
    conf.add_source({"task_always_eager": True, "broker_url": "memory://"})

    conf.task_always_eager = None
    conf.broker_url = None

    assert conf.task_always_eager is True
    assert conf.broker_url is None


def test_what_was_set_can_be_taken_back(conf):
    conf.update(task_serializer="yaml", task_max_deliveries=1, result_extended=True)

    del conf.task_serializer
    del conf["task_max_deliveries"]
    assert conf.pop("CELERY_RESULT_EXTENDED") is True
    assert conf.pop("result_extended", None) is None

    assert (conf.task_serializer, conf.task_max_deliveries, conf.result_extended) == (
        "json",
        3,
        False,
    )
    with pytest.raises(AttributeError):
        del conf.task_serializer
    with pytest.raises(KeyError):
        del conf["task_serializer"]
    conf.task_serializer = "yaml"
    conf.clear()
    assert conf.task_serializer == "json"


def test_a_dict_that_is_filled_in_place_keeps_what_was_put_into_it(conf):
    conf.task_publish_retry_policy["max_retries"] = 9
    conf.task_serializer = "yaml"
    conf.invalidate()

    assert conf.task_publish_retry_policy["max_retries"] == 9
    assert conf.origin("task_publish_retry_policy") == "app.conf"
    assert Config(strict=True).task_publish_retry_policy["max_retries"] == 3
    assert SETTINGS["task_publish_retry_policy"].default["max_retries"] == 3


def test_a_setting_that_is_none_falls_back_to_another(conf):
    conf.broker_url = "memory://"
    assert conf.broker_read_url == conf.broker_write_url == "memory://"

    conf.broker_read_url = "redis://replica"
    conf.task_default_queue = "proj"

    assert conf.broker_read_url == "redis://replica"
    assert conf.task_default_exchange == conf.task_default_routing_key == "proj"


def test_the_zone_of_django_is_used_when_there_is_no_other(conf):
    conf.add_source(type("Settings", (), {"TIME_ZONE": "Asia/Shanghai"}), namespace="CELERY")
    assert conf.timezone == "Asia/Shanghai"

    conf.timezone = "Europe/Berlin"

    assert conf.timezone == "Europe/Berlin"


def test_it_is_a_mapping_of_all_settings(conf):
    conf.result_extended = True

    assert isinstance(conf, Mapping)
    assert list(conf) == list(SETTINGS)
    assert len(conf) == len(SETTINGS)
    assert dict(conf)["result_extended"] is True
    assert "task_serializer" in conf
    assert "CELERY_TASK_SERIALIZER" in conf
    assert "task_serialiser" not in conf
    assert 7 not in conf
    assert conf.setdefault("task_serializer", "yaml") == "json"
    assert "task_serializer" in dir(conf)


def test_it_can_be_compared_and_kept_in_sets_as_an_object(conf):
    assert conf == conf  # noqa: PLR0124 - a mapping would compare all values
    assert conf != Config(strict=True)
    assert len({conf, conf}) == 1


def test_a_patch_of_the_standard_library_puts_everything_back(conf):
    conf.task_max_deliveries = 1

    with mock.patch.dict(conf, {"task_always_eager": True}):
        assert conf.task_always_eager is True
    with mock.patch.object(conf, "result_extended", True):
        assert conf.result_extended is True

    assert conf.changes == {"task_max_deliveries": 1}
    assert conf.task_always_eager is False
    assert conf.result_extended is False


def test_a_copy_is_changed_apart(conf):
    conf.add_source({"result_extended": True})
    conf.task_max_deliveries = 1
    other = conf.copy()

    other.task_max_deliveries = 2

    assert (conf.task_max_deliveries, other.task_max_deliveries) == (1, 2)
    assert other.result_extended is True


# Which value wins -------------------------------------------------------------------------------------------


def test_what_is_set_wins_over_environment_over_arguments_over_sources_over_defaults(monkeypatch):
    conf = Config(strict=True, arguments={"broker_url": "redis://argument", "result_backend": None})
    conf.add_defaults({"broker_url": "redis://added-default"})
    assert conf.origin("broker_url") == "the app's arguments"
    conf.add_source({"broker_url": "redis://source", "result_backend": "redis://source"})

    assert conf.broker_url == "redis://argument"
    assert conf.result_backend == "redis://source"
    assert conf.origin("result_backend") == "a dict"
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://environment")
    conf.invalidate()
    assert conf.broker_url == "redis://environment"
    assert conf.origin("broker_url") == "environment CELERY_BROKER_URL"
    conf.broker_url = "redis://set"
    assert conf.broker_url == "redis://set"
    assert conf.origin("broker_url") == "app.conf"
    del conf.broker_url
    assert conf.broker_url == "redis://environment"


def test_the_newest_source_wins_and_the_older_ones_fill_its_gaps(conf):
    conf.add_source({"task_serializer": "yaml", "task_max_deliveries": 1})
    conf.add_source({"task_serializer": "pickle"})

    assert (conf.task_serializer, conf.task_max_deliveries) == ("pickle", 1)


def test_added_defaults_stand_between_sources_and_the_table(conf):
    conf.add_defaults({"task_serializer": "yaml", "task_max_deliveries": 1})
    conf.add_defaults(lambda: {"task_max_deliveries": 2, "result_extended": True})
    conf.add_source({"task_serializer": "pickle"})

    assert (conf.task_serializer, conf.task_max_deliveries, conf.result_extended) == (
        "pickle",
        2,
        True,
    )
    assert conf.origin("result_extended") == "app.add_defaults"


def test_a_function_of_defaults_is_called_when_a_setting_is_first_read(conf):
    calls = []
    conf.add_defaults(lambda: calls.append(1) or {"task_max_deliveries": 1})

    assert calls == []
    assert conf.task_max_deliveries == 1
    conf.invalidate()
    assert conf.task_max_deliveries == 1
    assert calls == [1]


def test_the_environment_speaks_of_umbel_before_celery_and_empty_variables_say_nothing(
    conf, monkeypatch
):
    monkeypatch.setenv("CELERY_RESULT_BACKEND", "redis://celery")
    monkeypatch.setenv("UMBEL_RESULT_BACKEND", "redis://umbel")
    monkeypatch.setenv("UMBEL_BROKER_READ_URL", "redis://read")
    monkeypatch.setenv("CELERY_BROKER_URL", "")

    assert conf.result_backend == "redis://umbel"
    assert conf.origin("result_backend") == "environment UMBEL_RESULT_BACKEND"
    assert conf.broker_read_url == "redis://read"
    assert conf.broker_url is None
    assert conf.origin("broker_url") == "default"


def test_a_lenient_app_says_once_that_the_program_wins_over_the_environment(lenient, monkeypatch):
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://:secret@environment")
    lenient.broker_url = "redis://program"

    with pytest.warns(UmbelWarning, match="wins over CELERY_BROKER_URL in the environment") as seen:
        assert lenient.broker_url == "redis://program"
    lenient.invalidate()

    assert lenient.broker_url == "redis://program"
    assert len(seen) == 1
    assert "secret" not in str(seen[0].message)


def test_the_origin_of_a_fallback_is_that_of_the_other_setting(conf, monkeypatch):
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://environment")

    assert conf.origin("broker_write_url") == "environment CELERY_BROKER_URL"


# Speed and threads ------------------------------------------------------------------------------------------


def test_reading_a_setting_again_calls_no_python_function(conf):
    assert conf.task_serializer == "json"
    calls = []
    sys.setprofile(lambda frame, event, _: calls.append(frame) if event == "call" else None)
    try:
        value = conf.task_serializer
    finally:
        sys.setprofile(None)

    assert value == "json"
    assert calls == []


def test_any_change_makes_the_next_reading_fresh(conf):
    source = {"task_serializer": "yaml"}
    conf.add_source(source)
    assert conf.task_serializer == "yaml"

    source["task_serializer"] = "pickle"
    assert conf.task_serializer == "yaml"
    conf.invalidate()
    assert conf.task_serializer == "pickle"
    conf.add_source({"task_serializer": "msgpack"})
    assert conf.task_serializer == "msgpack"
    conf.update(task_serializer="json")
    assert conf.task_serializer == "json"


def test_readers_in_other_threads_never_keep_an_old_value():
    conf = Config(strict=True)
    stop = threading.Event()
    errors = []

    def read():
        while not stop.is_set():
            try:
                assert isinstance(conf.task_max_deliveries, int)
            except BaseException as error:
                errors.append(error)
                raise

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    try:
        for number in range(500):
            conf.worker_concurrency = number
            assert conf.worker_concurrency == number
            conf.task_max_deliveries = number % 2 + 1
            assert conf.task_max_deliveries == number % 2 + 1
    finally:
        stop.set()
        for reader in readers:
            reader.join()

    assert errors == []
    assert conf.task_max_deliveries == 2


# Typing -------------------------------------------------------------------------------------------------------

SAMPLE = """\
from datetime import timedelta
from umbel.app.config import Config

conf = Config(strict=True)
serializer: str = conf.task_serializer
limit: float = conf.task_time_limit  # line 6: may be None
conf.task_time_limit = timedelta(minutes=1)
conf.task_time_limit = [3]  # line 8
conf.task_always_eager = "yes"
conf.anything_else = 1
"""


def test_a_type_checker_knows_what_a_setting_holds_and_takes(tmp_path):
    sample = tmp_path / "sample.py"
    sample.write_text(SAMPLE)
    checker = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]

    checked = subprocess.run(
        [*checker, str(sample)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )

    wrong = [line for line in checked.stdout.splitlines() if ": error:" in line]
    assert [line.split(":")[1] for line in wrong] == ["6", "8"], checked.stdout + checked.stderr


def test_no_warning_is_given_without_cause():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Config(strict=True).table(with_defaults=True)
        Config(strict=False).table(with_defaults=True)
