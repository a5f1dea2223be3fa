"""Where ``app.conf`` reads from: objects of all sorts, paths, namespaces, and Django, live."""

from __future__ import annotations

import subprocess
import sys
import threading
import types

import pytest
from django.conf import LazySettings

from umbel.app.config import Config
from umbel.app.settings import ENVIRONMENT
from umbel.exceptions import ImproperlyConfigured, UmbelWarning, UnknownSetting


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch):
    for variables in ENVIRONMENT.values():
        for variable in variables:
            monkeypatch.delenv(variable, raising=False)


@pytest.fixture(params=[True, False], ids=["strict", "lenient"])
def conf(request):
    return Config(strict=request.param)


@pytest.fixture
def strict():
    return Config(strict=True)


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Writes modules that can be imported by name; the test's own, gone afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def write(name, text):
        path = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    yield write
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(
            sys.modules[name].__file__
        ):
            del sys.modules[name]


# Sorts of objects -------------------------------------------------------------------------------------------


class Settings:
    """A class with foreign attributes, as Flask and others have them."""

    task_serializer = "yaml"
    CELERY_RESULT_EXTENDED_NOT = 1
    DEBUG = True
    Helper = dict

    @staticmethod
    def task_serialise():
        """No setting, although its name is near one."""


def test_a_class_is_read_by_its_attributes(conf):
    conf.add_source(Settings)

    assert conf.task_serializer == "yaml"
    assert conf.origin("task_serializer") == f"class {__name__}.Settings"


def test_an_object_is_read_by_its_attributes(conf):
    conf.add_source(Settings())

    assert conf.task_serializer == "yaml"
    assert conf.origin("task_serializer") == f"an object of {__name__}.Settings"


def test_a_module_is_read_by_its_names_and_what_it_imports_is_no_setting(conf):
    module = types.ModuleType("proj_celeryconfig")
    module.__dict__.update(task_serializer="yaml", os=sys, crontab=dict, router=len, SECRET="x")
    conf.add_source(module)

    assert conf.task_serializer == "yaml"
    assert conf.origin("task_serializer") == "module proj_celeryconfig"


def test_a_path_is_imported_when_a_setting_is_first_read(conf, modules):
    modules("proj_a.settings", "task_serializer = 'yaml'")
    conf.add_source("proj_a.settings")
    assert "proj_a.settings" not in sys.modules

    assert conf.task_serializer == "yaml"
    assert conf.origin("task_serializer") == "module proj_a.settings"


def test_a_path_may_lead_to_an_object_inside_a_module(conf, modules):
    modules("proj_b", "class Config:\n    task_serializer = 'yaml'\n    task_max_deliveries = 1\n")
    conf.add_source("proj_b:Config")
    assert conf.task_serializer == "yaml"

    other = Config(strict=True)
    other.add_source("proj_b.Config")

    assert other.task_max_deliveries == 1
    assert other.origin("task_max_deliveries") == "class proj_b.Config"


def test_a_module_in_the_current_directory_is_found(conf, tmp_path, monkeypatch):
    (tmp_path / "proj_here.py").write_text("task_serializer = 'yaml'")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    before = list(sys.path)
    conf.add_source("proj_here")
    try:
        assert conf.task_serializer == "yaml"
        assert sys.path == before
    finally:
        sys.modules.pop("proj_here", None)


def test_a_path_that_cannot_be_imported_is_an_error_at_every_reading_unless_it_may_be_missing(conf):
    conf.add_source("no_such_module.settings", silent=True)
    assert conf.task_serializer == "json"

    conf.add_source("no_such_module.settings")

    for _ in range(2):
        with pytest.raises(
            ImproperlyConfigured, match=r"'no_such_module\.settings' cannot be imported"
        ):
            _ = conf.task_serializer


def test_a_silent_source_that_exists_but_fails_is_an_error_all_the_same(conf, modules):
    modules("proj_c", "1 / 0")
    conf.add_source("proj_c", silent=True)

    with pytest.raises(
        ImproperlyConfigured, match="'proj_c' cannot be imported: ZeroDivisionError"
    ):
        _ = conf.task_serializer


def test_a_settings_module_may_read_the_configuration_that_it_is_part_of(conf, modules):
    conf.add_source({"task_max_deliveries": 1})
    modules(
        "proj_d", "import proj_d_app\ntask_serializer = 'yaml' if proj_d_app.seen == 1 else 'json'"
    )
    app = types.ModuleType("proj_d_app")
    app.__getattr__ = lambda name: conf.task_max_deliveries if name == "seen" else None
    sys.modules["proj_d_app"] = app
    try:
        conf.add_source("proj_d")
        conf.add_source({"result_extended": True})

        assert conf.task_serializer in {"yaml", "json"}
        assert conf.result_extended is True
        assert conf.task_max_deliveries == 1
    finally:
        del sys.modules["proj_d_app"]


def test_two_threads_may_be_the_first_readers_together(modules):
    modules("proj_e", "import time\ntime.sleep(0.05)\ntask_serializer = 'yaml'")
    conf = Config(strict=True)
    conf.add_source("proj_e")
    read = []
    threads = [threading.Thread(target=lambda: read.append(conf.task_serializer)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert read == ["yaml"] * 4


# Namespaces -------------------------------------------------------------------------------------------------


def test_without_a_namespace_new_names_and_old_names_are_read(conf):
    conf.add_source(
        {"task_serializer": "yaml", "CELERY_ACKS_LATE": False, "BROKER_URL": "memory://"}
    )

    assert (conf.task_serializer, conf.task_acks_late, conf.broker_url) == (
        "yaml",
        False,
        "memory://",
    )


def test_with_the_namespace_celery_names_have_the_prefix(conf):
    conf.add_source(
        {"CELERY_TASK_TIME_LIMIT": 60, "CELERY_BROKER_URL": "memory://"}, namespace="CELERY"
    )

    assert (conf.task_time_limit, conf.broker_url) == (60.0, "memory://")


def test_old_names_and_bare_names_are_read_under_a_namespace_too(conf):
    conf.add_source(
        {"BROKER_URL": "memory://", "CELERYD_CONCURRENCY": 3, "task_max_deliveries": 1},
        namespace="CELERY",
    )

    assert (conf.broker_url, conf.worker_concurrency, conf.task_max_deliveries) == (
        "memory://",
        3,
        1,
    )


def test_the_umbel_prefix_is_read_with_the_namespace_celery_and_wins(conf):
    conf.add_source(
        {
            "UMBEL_TASK_MAX_DELIVERIES": 5,
            "CELERY_BROKER_URL": "redis://for-celery",
            "UMBEL_BROKER_URL": "redis://for-umbel",
        },
        namespace="CELERY",
    )

    assert conf.task_max_deliveries == 5
    assert conf.broker_url == "redis://for-umbel"


def test_the_namespace_umbel_has_no_old_names(strict):
    strict.add_source(
        {"UMBEL_TASK_MAX_DELIVERIES": 1, "BROKER_URL": "redis://other"}, namespace="UMBEL"
    )

    assert strict.task_max_deliveries == 1
    assert strict.broker_url is None


@pytest.mark.parametrize("namespace", ["PROJ", "PROJ_"])
def test_a_namespace_may_be_any_word(conf, namespace):
    conf.add_source({"PROJ_TASK_MAX_DELIVERIES": 1}, namespace=namespace)

    assert conf.task_max_deliveries == 1


def test_a_namespace_of_lower_case_has_names_of_lower_case(conf):
    conf.add_source(
        {"celery_task_max_deliveries": 1, "umbel_publish_timeout": 1}, namespace="celery"
    )

    assert (conf.task_max_deliveries, conf.publish_timeout) == (1, 1.0)


def test_old_and_new_names_may_stand_side_by_side(conf):
    conf.add_source(
        {"task_serializer": "yaml", "CELERY_TASK_SERIALIZER": "yaml", "CELERY_ACKS_LATE": 0}
    )

    assert (conf.task_serializer, conf.task_acks_late) == ("yaml", False)


def test_under_a_namespace_the_prefixed_spelling_wins_over_an_old_one_with_a_warning(conf):
    conf.add_source({"CELERY_TASK_ALWAYS_EAGER": True, "CELERY_ALWAYS_EAGER": False}, "CELERY")

    with pytest.warns(UmbelWarning, match="CELERY_ALWAYS_EAGER in a dict is not read, because"):
        assert conf.task_always_eager is True


def test_names_of_other_packages_are_left_alone(strict):
    strict.add_source(
        types.SimpleNamespace(
            CELERY_FEEDS_QUEUE="feeds", CELERY_WORKER_COUNT=3, S3_BUCKET="mine", x=1
        ),
        namespace="CELERY",
    )

    assert strict.s3_bucket is None
    assert strict.task_max_deliveries == 3
    with pytest.raises(UnknownSetting):
        _ = strict.FEEDS_QUEUE


def test_a_slip_is_forgiven_when_the_setting_itself_is_given(conf):
    conf.add_source(
        {"CELERY_BROKER": "redis://a", "CELERY_BROKER_URL": "redis://a"}, namespace="CELERY"
    )

    assert conf.broker_url == "redis://a"


def test_a_lenient_app_reads_a_dict_full_of_foreign_keys_without_a_word():
    conf = Config(strict=False)
    conf.add_source(
        {"SECRET_KEY": "x", "SQLALCHEMY_ECHO": True, "proj_name": "p", 7: 8, "TESTING": 1}
    )
    conf.update({"SERVER_NAME": "host", "LOG_LEVEL": "DEBUG"})

    assert conf.task_max_deliveries == 3
    assert conf["SQLALCHEMY_ECHO"] is True


# Live ---------------------------------------------------------------------------------------------------------


def test_a_changed_object_is_read_anew_after_invalidate(conf):
    source = types.SimpleNamespace(CELERY_TASK_ALWAYS_EAGER=False)
    conf.add_source(source, namespace="CELERY")
    assert conf.task_always_eager is False

    source.CELERY_TASK_ALWAYS_EAGER = True
    conf.invalidate()
    assert conf.task_always_eager is True
    del source.CELERY_TASK_ALWAYS_EAGER
    conf.invalidate()

    assert conf.task_always_eager is False
    assert conf.origin("task_always_eager") == "default"


def test_an_unsuitable_value_that_appears_later_is_refused_when_it_is_read(conf):
    source = {"task_time_limit": 5}
    conf.add_source(source)
    assert conf.task_time_limit == 5.0

    source["task_time_limit"] = "soon"
    conf.invalidate()

    with pytest.raises(ImproperlyConfigured, match=r"task_time_limit .*is 'soon'"):
        _ = conf.task_serializer


def test_the_settings_of_django_are_a_source(conf):
    settings = LazySettings()
    settings.configure(
        CELERY_TASK_MAX_DELIVERIES=1, TIME_ZONE="Asia/Shanghai", CELERYBEAT_ANYTHING=1
    )
    conf.add_source(settings, namespace="CELERY")

    assert conf.task_max_deliveries == 1
    assert conf.timezone == "Asia/Shanghai"
    assert conf.origin("task_max_deliveries") == "Django's settings"


DJANGO = """
from django.core.signals import setting_changed
from django.test import override_settings
from umbel.app.config import Config

conf = Config(strict=True)
conf.add_source("django.conf:settings", namespace="CELERY")
setting_changed.connect(lambda **_: conf.invalidate(), weak=False)

assert conf.task_always_eager is False
assert conf.origin("task_time_limit") == "module proj_django.settings", conf.origin("task_time_limit")
with override_settings(CELERY_TASK_ALWAYS_EAGER=True, CELERY_TASK_TIME_LIMIT=5):
    assert conf.task_always_eager is True
    assert conf.task_time_limit == 5.0
assert conf.task_always_eager is False
assert conf.task_time_limit == 60.0
assert conf.timezone == "Europe/Berlin"
"""


def test_an_override_of_djangos_settings_shows_at_once(tmp_path):
    package = tmp_path / "proj_django"
    package.mkdir()
    (package / "settings.py").write_text("CELERY_TASK_TIME_LIMIT = 60\nTIME_ZONE = 'Europe/Berlin'")
    program = subprocess.run(
        [sys.executable, "-W", "error", "-c", DJANGO],
        cwd=tmp_path,
        env={"DJANGO_SETTINGS_MODULE": "proj_django.settings", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert program.returncode == 0, program.stderr
