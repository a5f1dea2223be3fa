"""What each kind of setting takes, what becomes of it, and which values are never shown."""

from __future__ import annotations

import math
from datetime import UTC, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from umbel.app.config import Config
from umbel.app.settings import SETTINGS
from umbel.app.settings_table.censor import MASK, censored
from umbel.exceptions import ImproperlyConfigured
from umbel.message import serializers

# Values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("task_time_limit", 300, 300.0),
        ("task_time_limit", "300", 300.0),
        ("task_time_limit", timedelta(minutes=5), 300.0),
        ("task_time_limit", None, None),
        ("result_expires", timedelta(days=1), 86400.0),
        ("result_expires", None, None),
        ("publish_timeout", "0.5", 0.5),
        ("worker_concurrency", "4", 4),
        ("worker_concurrency", 4.0, 4),
        ("worker_concurrency", "auto", 0),
        ("worker_prefetch_multiplier", 0, 0),
        ("result_cache_max", -1, -1),
        ("result_backend_max_retries", math.inf, math.inf),
        ("task_always_eager", True, True),
        ("task_always_eager", "true", True),
        ("task_always_eager", "False", False),
        ("task_always_eager", "0", False),
        ("task_always_eager", "no", False),
        ("task_always_eager", "", False),
        ("task_always_eager", 1, True),
        ("imports", "proj.tasks", ("proj.tasks",)),
        ("imports", "proj.tasks, proj.more", ("proj.tasks", "proj.more")),
        ("accept_content", {"json", "pickle"}, {"json", "pickle"}),
        ("task_protocol", "2", 2),
        ("broker_url", "", None),
        ("broker_url", "redis://a:1;redis://b:2", "redis://a:1;redis://b:2"),
        ("broker_url", ["redis://a:1", "redis://b:2"], ["redis://a:1", "redis://b:2"]),
        ("broker_url", "redis+socket:///tmp/redis.sock", "redis+socket:///tmp/redis.sock"),
        ("result_backend", "django-db", "django-db"),
        ("result_backend", dict, dict),
        ("timezone", "Asia/Shanghai", "Asia/Shanghai"),
        ("timezone", UTC, UTC),
        ("worker_redirect_stdouts_level", "info", "info"),
        ("worker_redirect_stdouts_level", 20, 20),
        ("worker_health_address", "127.0.0.1:8080", "127.0.0.1:8080"),
        ("worker_health_address", "/run/umbel.sock", "/run/umbel.sock"),
        ("redis_priority_order", "celery", "celery"),
        ("task_default_delivery_mode", "persistent", "persistent"),
        ("task_default_rate_limit", "10/m", "10/m"),
        ("beat_schedule_filename", Path("state") / "beat", "state/beat"),
        ("broker_use_ssl", "yes", True),
        ("task_routes", "proj.routes.router", "proj.routes.router"),
        ("task_queues", ["a", {"name": "b"}], ["a", {"name": "b"}]),
        (
            "task_queues",
            {"a": None, "b": {"routing_key": "b"}},
            {"a": None, "b": {"routing_key": "b"}},
        ),
        ("accept_content", ["json", "text/x-own"], ["json", "text/x-own"]),
        ("worker_log_format", "%(processName)s %(message)s", "%(processName)s %(message)s"),
        ("worker_task_log_format", "%(task_id)s %(asctime)s", "%(task_id)s %(asctime)s"),
        ("worker_heartbeat_limit", "0.5", 0.5),
    ],
)
def test_a_value_is_turned_into_what_umbel_works_with(name, written, value):
    converted = SETTINGS[name].convert(written)

    assert converted == value
    assert type(converted) is type(value)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("task_time_limit", "soon"),
        ("task_time_limit", -1),
        ("task_time_limit", True),
        ("task_time_limit", math.inf),
        ("task_time_limit", math.nan),
        ("worker_concurrency", 1.5),
        ("worker_concurrency", -1),
        ("worker_concurrency", "many"),
        ("worker_concurrency", math.inf),
        ("task_default_priority", 256),
        ("task_always_eager", "maybe"),
        ("task_always_eager", 2),
        ("task_always_eager", []),
        ("imports", 3),
        ("imports", [3]),
        ("imports", {"proj.tasks": 1}),
        ("task_serializer", b"json"),
        ("task_protocol", 3),
        ("broker_url", "localhost:6379"),
        ("broker_url", "redis:/localhost"),
        ("broker_url", {"url": "redis://"}),
        ("result_backend", 5),
        ("broker_transport_options", [("a", 1)]),
        ("task_routes", 5),
        ("task_queues", "celery"),
        ("task_queues", ["a", 5]),
        ("task_queues", [{"routing_key": "a"}]),
        ("task_queues", {"a": 5}),
        ("task_queues", {5: {}}),
        ("task_annotations", 5),
        ("task_serializer", 5),
        ("accept_content", ["jsn"]),
        ("accept_content", [5]),
        ("worker_log_format", "%(nope)s"),
        ("worker_log_format", "%(task_id)s"),
        ("worker_log_format", "no field"),
        ("worker_log_format", 5),
        ("worker_task_log_format", "%(task_nme)s"),
        ("worker_heartbeat_limit", 0),
        ("worker_heartbeat_interval", 0),
        ("task_max_deliveries", 0),
        ("timezone", 8),
        ("worker_redirect_stdouts_level", "LOUD"),
        ("worker_health_address", "8080"),
        ("redis_priority_order", "reverse"),
        ("task_default_rate_limit", "10/day"),
        ("beat_schedule", {"entry": {"task": "proj.add"}}),
        ("beat_schedule", {"entry": 3600}),
    ],
)
def test_a_value_of_another_kind_is_refused(name, written):
    with pytest.raises(ValueError, match=r"^is .*, ") as refusal:
        SETTINGS[name].convert(written)

    assert refusal.value.__cause__ is None


def test_a_container_is_handed_through_so_that_programs_can_change_it_in_place():
    options: dict[str, object] = {}
    names: list[str] = []

    assert SETTINGS["broker_transport_options"].convert(options) is options
    assert SETTINGS["imports"].convert(names) is names


def test_an_entry_of_the_schedule_may_be_an_object():
    schedule = {"entry": SimpleNamespace(schedule=3.0)}

    assert SETTINGS["beat_schedule"].convert(schedule) is schedule


def test_a_schedule_entry_without_its_task_is_named():
    with pytest.raises(ValueError, match="its entry 'nightly' has no 'task'"):
        SETTINGS["beat_schedule"].convert({"nightly": {"schedule": 3600.0}})


# Passwords ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("broker_url", "redis://:secret@host/0", f"redis://:{MASK}@host/0"),
        ("broker_url", "redis://user:secret@host/0", f"redis://user:{MASK}@host/0"),
        ("broker_url", "redis://:se@cr/et@host/0", f"redis://:{MASK}@host/0"),
        ("broker_url", "redis://:a@h1;redis://:b@h2", f"redis://:{MASK}@h1;redis://:{MASK}@h2"),
        ("broker_url", ["redis://:a@h1"], [f"redis://:{MASK}@h1"]),
        ("broker_url", "redis://host:6379/0", "redis://host:6379/0"),
        ("broker_url", "redis://h/0?password=secret&db=1", f"redis://h/0?password={MASK}&db=1"),
        ("redis_password", "secret", MASK),
        ("redis_password", None, None),
        ("security_key_password", b"secret", MASK),
        ("s3_secret_access_key", "secret", MASK),
        ("broker_transport_options", {"sentinel_kwargs": {"password": "x"}, "sep": ":"},
         {"sentinel_kwargs": {"password": MASK}, "sep": ":"}),
        ("beat_schedule", {"a": {"kwargs": {"api_key": "x"}, "args": ("redis://:p@h",)}},
         {"a": {"kwargs": {"api_key": MASK}, "args": (f"redis://:{MASK}@h",)}}),
        ("task_default_routing_key", "celery", "celery"),
        ("task_routes", {"a": {"routing_key": "b"}}, {"a": {"routing_key": "b"}}),
        ("FLASK_SECRET_KEY", "x", MASK),
    ],
)  # fmt: skip
def test_passwords_are_hidden_and_nothing_else(name, value, shown):
    assert censored(name, value) == shown


@pytest.mark.parametrize("url", ["redis://:pa#ss@host/0", "redis://:pa/ss@host/0"])
def test_the_message_about_a_wrong_url_tells_nothing_of_the_password(url):
    with pytest.raises(ValueError, match="percent-encoded") as refusal:
        SETTINGS["broker_url"].convert(url)

    assert f"is 'redis://:{MASK}@host/0', " in str(refusal.value)
    assert "'pa'" not in str(refusal.value)
    assert "ss@" not in str(refusal.value)


@pytest.mark.parametrize("name", ["task_serializer", "result_serializer"])
def test_a_misspelt_serializer_is_refused_when_it_is_read_and_may_be_registered_until_then(name):
    conf = Config(strict=True)
    conf[name] = "jsn"
    with pytest.raises(ImproperlyConfigured, match="no such serializer; did you mean 'json'"):
        _ = conf[name]

    serializers.register("jsn", str, str, "application/x-jsn")
    try:
        assert conf[name] == "jsn"
    finally:
        serializers.unregister("jsn")
