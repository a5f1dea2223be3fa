"""``app.conf``: names that are no settings, settings without effect, what people are shown."""

from __future__ import annotations

import pytest

from umbel.app.config import Config
from umbel.app.settings import ENVIRONMENT, SETTINGS
from umbel.exceptions import ImproperlyConfigured, UmbelWarning, UnknownSetting


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


# Unknown names ----------------------------------------------------------------------------------------------


def test_a_strict_app_refuses_unknown_names_and_offers_the_nearest(conf):
    with pytest.raises(
        UnknownSetting, match="no setting 'task_serialiser'; did you mean 'task_serializer'"
    ):
        _ = conf.task_serialiser
    with pytest.raises(UnknownSetting, match="'task_serializer'"):
        conf.task_serialiser = "json"
    with pytest.raises(UnknownSetting, match="'task_serializer'"):
        conf.update(task_serialiser="json")
    with pytest.raises(UnknownSetting, match="did you mean 'worker_concurrency'"):
        _ = conf.CELERYD_CONCURENCY
    with pytest.raises(UnknownSetting, match="'task_serializer'"):
        conf.get("task_serialiser")
    with pytest.raises(KeyError, match="'task_serializer'"):
        _ = conf["task_serialiser"]
    with pytest.raises(UnknownSetting, match=r"^there is no setting 'zzz'$"):
        _ = conf.zzz
    with pytest.raises(UnknownSetting, match="task_serialiser"):
        Config(strict=True, arguments={"task_serialiser": "json"})
    assert not hasattr(conf, "task_serialiser")
    assert conf.changes == {}


def test_a_lenient_app_keeps_unknown_names(lenient):
    lenient.my_own = 1
    lenient["OTHER"] = 2
    lenient.update({"SQLALCHEMY_DATABASE_URI": "sqlite://", "S3_BUCKET": "mine"})

    assert (lenient.my_own, lenient["OTHER"]) == (1, 2)
    assert lenient.get("SQLALCHEMY_DATABASE_URI") == "sqlite://"
    assert lenient.S3_BUCKET == "mine"
    assert lenient.s3_bucket is None
    assert "my_own" in lenient
    assert "my_own" in list(lenient)
    assert lenient.origin("my_own") == "app.conf"
    assert lenient.get("zzz", 5) == 5
    assert "zzz" not in lenient
    assert not lenient.value_set_for("zzz")
    with pytest.raises(AttributeError):
        _ = lenient.zzz
    with pytest.raises(KeyError):
        _ = lenient["zzz"]
    del lenient.my_own
    assert "my_own" not in lenient


def test_a_lenient_app_reads_unknown_names_from_its_sources(lenient):
    source = {"task_default_base": "proj.Base", "DEBUG": True}
    lenient.add_source(source)
    lenient.add_source({"CELERY_EXTRA": 1}, namespace="CELERY")

    assert lenient.task_default_base == "proj.Base"
    assert lenient.DEBUG is True
    assert lenient.extra == 1
    assert lenient.origin("DEBUG") == "a name of the project's own"


def test_a_lenient_app_warns_once_of_a_name_that_is_nearly_a_setting(lenient):
    with pytest.warns(UmbelWarning, match="did you mean 'task_always_eager'") as seen:
        lenient.task_always_eagr = True
    lenient.task_always_eagr = False
    lenient.update({"CELERY_FEEDS_QUEUE": "feeds", "CELERY_WORKER_COUNT": 4})

    assert len(seen) == 1
    assert seen[0].filename == __file__
    assert lenient.task_always_eagr is False


def test_private_names_are_no_settings_and_cause_no_search(lenient):
    lenient.add_source("no.such.module")

    assert not hasattr(lenient, "__wrapped__")
    assert not hasattr(lenient, "_repr_html_")


# What has no effect -----------------------------------------------------------------------------------------


def test_a_setting_without_effect_is_answered_by_one_warning_with_the_reason(conf):
    with pytest.warns(
        UmbelWarning, match="worker_eta_task_limit has no effect: delayed messages"
    ) as seen:
        conf.worker_eta_task_limit = 5
    conf.worker_eta_task_limit = 6

    assert len(seen) == 1
    assert seen[0].filename == __file__
    assert conf.worker_eta_task_limit == 6


def test_a_setting_without_effect_at_its_default_is_no_cause_for_a_warning(conf):
    conf.worker_lost_wait = 10
    conf.broker_heartbeat = 120

    assert conf.worker_lost_wait == 10.0


def test_a_wrong_value_of_a_setting_without_effect_is_a_warning_too(conf):
    with pytest.warns(
        UmbelWarning, match="worker_lost_wait is 'long', expected a number .* no effect"
    ):
        conf.worker_lost_wait = "long"

    assert conf.worker_lost_wait == "long"


def test_an_option_without_effect_is_answered_by_one_warning(conf):
    with pytest.warns(
        UmbelWarning, match="'visibility_timeout' has no effect: a loan ends"
    ) as seen:
        conf.broker_transport_options = {"visibility_timeout": 3600, "global_keyprefix": "a"}

    assert conf.broker_transport_options["global_keyprefix"] == "a"
    assert len(seen) == 1


def test_an_unknown_option_is_refused_by_a_strict_app_and_may_be_a_slip_in_a_lenient_one(
    conf, lenient
):
    with pytest.raises(
        ImproperlyConfigured, match="no option 'max_retris'; did you mean 'max_retries'"
    ):
        conf.task_publish_retry_policy = {"max_retris": 3}
    with pytest.warns(UmbelWarning, match="no option 'max_retris'; did you mean 'max_retries'"):
        lenient.task_publish_retry_policy = {"max_retris": 3}

    lenient.broker_transport_options = {"colour": "red"}

    assert lenient.broker_transport_options == {"colour": "red"}


# What people are shown --------------------------------------------------------------------------------------


def test_the_table_shows_what_is_set_and_hides_passwords(conf):
    conf.add_source({"result_backend": "redis://:secret@host/1"})
    conf.update(broker_url="redis://user:secret@host/0", task_max_deliveries=1)

    assert conf.table() == {
        "broker_url": "redis://user:********@host/0",
        "task_max_deliveries": 1,
        "result_backend": "redis://:********@host/1",
    }
    assert conf.table(censored=False)["result_backend"] == "redis://:secret@host/1"
    assert set(conf.table(with_defaults=True)) == set(SETTINGS)
    assert conf.without_defaults()["broker_url"] == "redis://user:secret@host/0"
    assert "secret" not in conf.humanize()
    assert "task_max_deliveries: 1" in conf.humanize().splitlines()
    assert "task_serializer: 'json'" in conf.humanize(with_defaults=True).splitlines()
    assert "secret" not in repr(conf)


def test_a_value_borrowed_from_another_setting_is_not_set(conf):
    conf.add_source({"broker_read_url": "redis://replica", "broker_url": "redis://host"})

    assert conf.value_set_for("broker_read_url")
    assert not conf.value_set_for("broker_write_url")
    assert set(conf.table()) == {"broker_read_url", "broker_url"}


def test_a_setting_is_found_by_a_name_without_its_section(conf):
    conf.worker_concurrency = 3

    assert conf.find_value_for_key("concurrency") == 3
    assert conf.find_value_for_key("serializer", "result") == "json"
    assert conf.find_option("concurrency", "worker")[:2] == ("worker", "concurrency")
    assert conf.find_option("timezone").namespace is None
    assert conf.get_by_parts("worker", "concurrency") == 3
    assert conf.value_set_for("worker_concurrency")
    assert not conf.value_set_for("worker_pool")
    with pytest.raises(UnknownSetting, match="did you mean 'worker_concurrency'"):
        conf.find_value_for_key("concurency")
