"""The settings table: complete, honest about Celery, documented, and strict about values."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from umbel.app.config import Config
from umbel.app.settings import (
    ENVIRONMENT,
    OLD_NAMES,
    SETTINGS,
    documentation,
    fields,
    near_miss,
    prefixes,
    readable,
    setting_of,
    suggestion,
)
from umbel.app.settings_table import SECTIONS
from umbel.app.settings_table import fields as fields_module
from umbel.app.settings_table.setting import ACCEPTED, SAME

ROOT = Path(__file__).parents[3]

#: (name, default, old name) of each setting of Celery 5.7.
CELERY = [
    tuple(part.strip() for part in line.split(" | "))
    for line in (Path(__file__).parent / "celery_settings.txt").read_text().splitlines()
    if not line.startswith("#")
]
#: Read by Celery without being declared (CFG-178 … CFG-182).
UNDECLARED = {
    "redis_backend_health_check_interval",
    "redis_backend_credential_provider",
    "redis_client_name",
    "result_backend_thread_safe",
    "db_reuse_max",
}

#: Settings that projects were seen to have for themselves, under a name of Celery's looks.
PROJECTS_OWN = """
    EMAIL_TASK_CONFIG LONG_RUNNING_TASK_TIME_LIMIT SEARCH_RATE_LIMIT ETL_TASK_QUEUE QUEUE_NAME
    LONG_RUNNING_TASK_SOFT_TIME_LIMIT BEAT_NAME_BY_TASK FEEDS_QUEUE BEAT_DISABLED
    LONG_RUNNING_MIGRATION_TASK_HEARTBEAT_TTL WORKER_COUNT WORKER_PROMETHEUS_PORTS EMAIL_BACKEND
    HEALTH_PROBES_AS_FILES IQUERY_QUEUE SEARCH_EXPORT_EXPIRES SEARCH_UPDATE_HARD_TIME_LIMIT
    BEAT_HEARTBEAT BEAT_HEARTBEAT_FILE BEAT_RELOAD_INTERVAL LOG_DIR PACER_FETCH_QUEUE
    LONG_RUNNING_MIGRATION_TASK_HEARTBEAT_INTERVAL RESTRICT_WRITER_METHOD VECTOR_SEARCH_RATE_LIMIT
    LONG_RUNNING_MIGRATION_TASK_SOFT_TIME_LIMIT LONG_RUNNING_MIGRATION_TASK_TIME_LIMIT
    WORKER_DOCFETCHING_CONCURRENCY WORKER_DOCPROCESSING_CONCURRENCY WORKER_LIGHT_CONCURRENCY
    WORKER_LIGHT_PREFETCH_MULTIPLIER WORKER_READINESS_FILE APP_NAME APP_READY APP_SHUTDOWN
    BROKER_URL_SECRET CHECK_ONLY_INSPECT_BROKER CONFIG
"""


# The table ----------------------------------------------------------------------------------------------


def test_celery_5_7_has_207_settings_and_the_table_has_every_one():
    assert len(CELERY) == 207
    assert [name for name, _, _ in CELERY if name not in SETTINGS] == []


def test_what_celery_does_not_declare_is_marked_as_our_own_or_read_by_celery_in_passing():
    declared = {name for name, _, _ in CELERY}
    own = {setting.name for setting in SETTINGS.values() if setting.own}

    assert set(SETTINGS) - declared == own | UNDECLARED
    assert own & declared == set()


@pytest.mark.parametrize(("name", "default", "old"), CELERY, ids=[name for name, _, _ in CELERY])
def test_a_default_and_old_name_are_celerys_or_the_difference_is_stated(name, default, old):
    setting = SETTINGS[name]

    assert (setting.default if setting.celery is SAME else setting.celery) == ast.literal_eval(
        default
    )
    assert setting.old == old


def test_late_acknowledgement_is_our_default_and_the_documentation_says_that_celery_has_another():
    setting = SETTINGS["task_acks_late"]

    assert setting.default is True
    assert setting.celery is False
    row = next(line for line in documentation().splitlines() if "`task_acks_late`" in line)
    assert "Celery's default: `False`" in row


def test_no_setting_stands_in_two_sections():
    names = [setting.name for section in SECTIONS.values() for setting in section]

    assert sorted(names) == sorted(set(names))


def test_every_setting_has_a_meaning_and_what_has_no_effect_has_a_reason():
    for setting in SETTINGS.values():
        assert setting.doc.endswith("."), setting.name
        if setting.status == ACCEPTED:
            assert setting.why, setting.name
            assert not setting.why.endswith("."), setting.name


def test_no_text_promises_anything():
    texts = documentation().casefold()

    assert re.findall(r"\b(planned|not yet|yet to|upcoming|soon|in a later|will be)\b", texts) == []


def test_every_default_is_a_value_of_its_own_kind():
    for setting in SETTINGS.values():
        assert setting.convert(setting.default) == setting.default, setting.name


# Spellings ----------------------------------------------------------------------------------------------


def test_a_setting_is_found_under_its_name_its_old_name_and_with_our_prefixes():
    for spelling in (
        "task_always_eager",
        "CELERY_ALWAYS_EAGER",
        "CELERY_TASK_ALWAYS_EAGER",
        "UMBEL_TASK_ALWAYS_EAGER",
    ):
        assert setting_of(spelling) is SETTINGS["task_always_eager"]
    assert setting_of("TASK_ALWAYS_EAGER") is None


def test_no_spelling_means_two_settings():
    for name in SETTINGS:
        for prefix in prefixes("CELERY"):
            assert OLD_NAMES.get(prefix + name.upper(), name) == name


def test_the_umbel_prefix_is_read_with_celerys_namespace_and_is_the_stronger():
    assert prefixes("CELERY") == ("UMBEL_", "CELERY_")
    assert prefixes("CELERY_") == ("UMBEL_", "CELERY_")
    assert prefixes("celery") == ("umbel_", "celery_")
    assert prefixes("MYPROJ") == ("MYPROJ_",)
    assert prefixes(None) == ()
    assert prefixes("") == ()


def test_a_namespace_of_lower_case_makes_lower_case_names():
    assert readable("proj")["proj_task_serializer"].name == "task_serializer"


def test_old_names_that_other_programs_also_have_are_read_only_where_they_have_an_effect():
    assert SETTINGS["s3_bucket"].old == "S3_BUCKET"
    assert "S3_BUCKET" not in OLD_NAMES
    assert OLD_NAMES["ENABLE_UTC"] == "enable_utc"


def test_the_environment_gives_the_urls_alone():
    assert set(ENVIRONMENT) == {
        "broker_url",
        "broker_read_url",
        "broker_write_url",
        "result_backend",
    }
    assert ENVIRONMENT["broker_url"] == ("UMBEL_BROKER_URL", "CELERY_BROKER_URL")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("TASK_ALWAYS_EAGR", "task_always_eager"),
        ("TASK_SERIALISER", "task_serializer"),
        ("RESULT_EXPIRE", "result_expires"),
        ("TASKS_ALWAYS_EAGER", "task_always_eager"),
        ("TASK_ALWAYSEAGER", "task_always_eager"),
        ("BROKERURL", "broker_url"),
        ("WORKER_CONCURENCY", "worker_concurrency"),
        ("ALWAYS_EAGR", "task_always_eager"),
        ("SOFT_TIME_LIMIT", "task_soft_time_limit"),
        ("MAX_TASKS_PER_CHILD", "worker_max_tasks_per_child"),
        ("CONCURRENCY", "worker_concurrency"),
        ("BROKER", "broker_url"),
        ("BACKEND", "result_backend"),
    ],
)
def test_a_slip_is_told_from_a_name_of_the_projects_own(written, meant):
    assert near_miss(written.lower()) == meant


def test_names_that_projects_have_for_themselves_are_no_slips():
    assert {
        name: near_miss(name.lower()) for name in PROJECTS_OWN.split() if near_miss(name.lower())
    } == {}


def test_a_real_name_is_no_slip():
    assert near_miss("task_serializer") is None
    assert near_miss("always_eager") is None  # as in CELERY_ALWAYS_EAGER


def test_the_new_name_is_suggested_for_an_old_one_that_is_misspelt():
    assert suggestion("CELERYD_CONCURENCY") == "worker_concurrency"
    assert suggestion("CELERY_TASK_SERIALISER") == "task_serializer"
    assert suggestion("something_else_entirely") is None


# Generated ------------------------------------------------------------------------------------------------


def test_the_page_of_settings_is_the_one_that_the_table_writes():
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")

    assert page == documentation(), "run: python -m umbel.app.settings > docs/settings.md"


def test_the_annotations_of_the_configuration_are_the_ones_that_the_table_writes():
    source = Path(fields_module.__file__).read_text(encoding="utf-8")

    assert source == fields(), (
        "run: python -m umbel.app.settings fields > …/settings_table/fields.py"
    )


def test_every_setting_is_on_the_page_with_its_old_name():
    page = documentation()

    for setting in SETTINGS.values():
        assert f"| `{setting.name}` |" in page
        assert not setting.old or f"`{setting.old}`" in page


def test_no_setting_hides_a_method_of_the_configuration():
    assert [name for name in SETTINGS if hasattr(Config, name)] == []
