from __future__ import annotations

import sys
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from umbel import Celery, Umbel, current_app, current_task
from umbel.current import existing_app
from umbel.exceptions import ImproperlyConfigured, NotRegistered, TaskRevokedError, UnknownSetting


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write files into a folder from which modules are imported."""

    def write(**files):
        for name, text in files.items():
            path = tmp_path / (name.replace("__", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            if path.parent != tmp_path:
                (path.parent / "__init__.py").touch()
        return tmp_path

    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield write
    for name in set(sys.modules) - before:
        if (
            getattr(sys.modules[name], "__file__", None)
            and str(tmp_path) in sys.modules[name].__file__
        ):
            del sys.modules[name]


def test_arguments_are_settings():
    app = Umbel(
        "proj", broker="memory://", backend="disabled", task_default_queue="own", include=["a", "b"]
    )

    assert app.main == "proj"
    assert app.conf.broker_url == "memory://"
    assert app.conf.task_default_queue == "own"
    assert tuple(app.conf.include) == ("a", "b")
    assert app.backend is None


def test_an_unknown_argument_is_an_error():
    with pytest.raises(UnknownSetting, match="task_default_queue"):
        Umbel("proj", task_default_que="own")


def test_the_lenient_app_has_the_positions_of_celery():
    app = Celery("proj", None, "disabled", None, None, None, None, False, None, "memory://", "mod")

    assert (app.conf.broker_url, app.conf.result_backend) == ("memory://", "disabled")
    assert tuple(app.conf.include) == ("mod",)
    assert existing_app() is not app
    assert not app.strict


def test_the_lenient_app_takes_everything_that_celery_takes():
    app = Celery(
        "proj",
        broker="memory://",
        changes={"task_default_queue": "own"},
        autofinalize=False,
        fixups=[],
        loader="app",
        config_source={"timezone": "Asia/Tokyo"},
        config_source_silent=True,
        tasks={},
    )

    assert app.conf.task_default_queue == "own"
    assert app.timezone == ZoneInfo("Asia/Tokyo")


def test_settings_are_read_from_objects_with_a_namespace():
    class Settings:
        CELERY_BROKER_URL = "memory://"
        CELERY_TASK_DEFAULT_QUEUE = "own"

    app = Umbel("proj")
    app.config_from_object(Settings, namespace="CELERY")

    assert app.conf.task_default_queue == "own"
    assert app.namespace == "CELERY"


def test_a_module_of_settings_is_imported_when_they_are_read_or_at_once(package):
    package(proj_settings="broker_url = 'memory://'\n")
    app = Umbel("proj", config_source="proj_settings")

    assert "proj_settings" not in sys.modules
    app.config_from_object("proj_settings", force=True)
    assert "proj_settings" in sys.modules
    assert app.conf.broker_url == "memory://"


def test_the_environment_may_name_the_module(package, monkeypatch):
    package(proj_settings="broker_url = 'memory://'\n")
    monkeypatch.setenv("PROJ_CONFIG", "proj_settings")
    app = Umbel("proj")

    app.config_from_envvar("PROJ_CONFIG")

    assert app.conf.broker_url == "memory://"
    assert app.config_from_envvar("NO_SUCH_VARIABLE", silent=True) is False
    with pytest.raises(ImproperlyConfigured, match="NO_SUCH_VARIABLE is not set"):
        app.config_from_envvar("NO_SUCH_VARIABLE")


def test_defaults_hold_where_nothing_else_is_said():
    app = Umbel("proj", task_default_queue="own")

    app.add_defaults({"task_default_queue": "default", "task_default_priority": 3})

    assert (app.conf.task_default_queue, app.conf.task_default_priority) == ("own", 3)


def test_the_apps_zone(app):
    assert app.timezone is UTC
    app.conf.timezone = "Asia/Tokyo"
    assert app.timezone == ZoneInfo("Asia/Tokyo")
    assert abs(app.now() - datetime.now(UTC)).total_seconds() < 1
    assert app.now().tzinfo == app.timezone


def test_the_last_app_is_the_current_one(store):
    first = Umbel("first", broker=store)
    assert current_app == first
    second = Umbel("second", broker=store)
    Umbel("third", broker=store, set_as_current=False)

    assert current_app == second
    assert current_app.main == "second"
    assert isinstance(current_app, Umbel)
    first.set_default()
    assert current_app._get_current_object() is first


def test_there_is_no_current_task_outside_of_tasks():
    assert not current_task
    with pytest.raises(AttributeError, match="current_task: there is none here"):
        _ = current_task.request


def test_names_that_stand_for_something_else_hand_everything_on(app):
    current_app.colour = "blue"
    assert app.colour == "blue"
    del current_app.colour
    assert not hasattr(app, "colour")
    assert repr(current_app) == "<Umbel proj>"
    assert hash(current_app) == hash(app)
    assert "send_task" in dir(current_app)
    assert current_app.task(lambda: 1, name="x")() == 1


def test_a_subclass_is_told_when_it_is_ready(store):
    class Own(Celery):
        def on_init(self):
            self.ready = self.conf.broker_url

    assert Own("proj", broker=store).ready == store


def test_closing_ends_connections_and_the_app_is_current_no_more(store):
    with Umbel("proj", broker=store) as app:
        app.broker.publish([])
        assert existing_app() is app

    assert existing_app() is None


# Modules ------------------------------------------------------------------------------------------

TASKS = """
from umbel import shared_task
@shared_task
def found():
    return "found"
"""


def test_included_modules_are_imported_when_a_task_is_missing(package, store):
    package(inc_tasks=TASKS.replace("found", "included"))
    app = Umbel("proj", broker=store, include=["inc_tasks"])

    assert "inc_tasks" not in sys.modules
    assert app.tasks["inc_tasks.included"]() == "included"
    with pytest.raises(NotRegistered):
        app.tasks["inc_tasks.missing"]


@pytest.mark.parametrize(
    "packages", [["disco"], "disco", lambda: ["disco"], ("disco.apps.Config",)]
)
def test_tasks_are_found_in_packages(package, store, packages):
    package(disco__tasks=TASKS, disco__apps="Config = None\n")
    app = Umbel("proj", broker=store)
    if packages == ("disco.apps.Config",):
        packages = ["disco.Config"]

    app.autodiscover_tasks(packages)
    assert "disco.tasks" not in sys.modules
    app.import_modules()

    assert "disco.tasks.found" in app.tasks


def test_packages_may_be_told_by_an_integration(package, store):
    package(disco__tasks=TASKS)
    app = Umbel("proj", broker=store)
    app.default_packages = lambda: ["disco"]

    app.autodiscover_tasks()
    app.loader.import_default_modules()

    assert "disco.tasks.found" in app.tasks


def test_without_packages_nothing_is_searched(app):
    app.autodiscover_tasks()
    app.import_modules()

    assert dict(app.tasks) == {name: task for name, task in app.tasks.items() if task._app is None}


def test_another_module_name_and_the_packages_themselves_may_be_asked_for(package, store):
    package(disco__jobs=TASKS, alone=TASKS)
    app = Umbel("proj", broker=store)

    app.autodiscover_tasks(["disco"], related_name="jobs", force=True)
    app.autodiscover_tasks(["alone"], related_name=None, force=True)

    assert {"disco.jobs.found", "alone.found"} <= set(app.tasks)


def test_a_package_without_tasks_is_no_error_but_a_broken_one_is(package, store):
    package(bare__models="", broken__tasks="import no_such_module\n")
    app = Umbel("proj", broker=store)

    app.autodiscover_tasks(["bare"], force=True)
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        app.autodiscover_tasks(["broken"], force=True)
    with pytest.raises(ModuleNotFoundError, match="missing_package"):
        app.autodiscover_tasks(["missing_package"], force=True)


def test_a_module_that_looks_for_tasks_while_it_is_imported_does_not_import_itself(package, store):
    package(
        looks="from umbel import current_app\nfound = 'x' in current_app.tasks\ntry:\n    current_app.tasks['x']\nexcept KeyError:\n    found = None\n"
    )
    app = Umbel("proj", broker=store, include=["looks"])

    app.import_modules()

    assert sys.modules["looks"].found is None


# Annotations --------------------------------------------------------------------------------------


def test_settings_may_override_the_options_of_tasks(app):
    early = app.task(lambda: None, name="early", max_retries=1)
    app.conf.task_annotations = {"*": {"rate_limit": "1/s"}, "early": {"max_retries": 9}}
    app.finalize()
    late = app.task(lambda: None, name="late")

    assert (early.rate_limit, early.max_retries) == ("1/s", 9)
    assert late.rate_limit == "1/s"


def test_settings_may_decorate_methods(app):
    def logged(method):
        def wrapper(*args, **kwargs):
            return "logged", method(*args, **kwargs)

        return wrapper

    task = app.task(lambda: 1, name="x")
    app.conf.task_annotations = [{"x": {"@run": logged}}]
    app.finalize()
    app.conf.task_default_queue = "changed"
    app.finalize()

    assert task() == ("logged", 1)


@pytest.mark.parametrize("setting", [{"*": {"rate_limt": "1/s"}}, [7]])
def test_annotations_that_cannot_be_meant_are_refused(app, setting):
    app.task(lambda: None, name="x")
    app.conf.task_annotations = setting

    with pytest.raises(ImproperlyConfigured, match="task_annotations"):
        app.finalize()


# Stores -------------------------------------------------------------------------------------------


def test_results_are_kept_where_messages_are(app, store):
    assert app.backend.display_url == app.broker.display_url == store


def test_results_may_be_kept_elsewhere_or_nowhere(app):
    app.conf.result_backend = "memory://elsewhere"
    assert app.backend.display_url == "memory://elsewhere"
    app.conf.result_backend = "disabled"
    assert app.backend is None
    assert app.open_backend() is None
    app.conf.result_backend = "disabled://"
    assert app.backend is None


def test_a_new_url_is_a_new_broker(app):
    first = app.broker

    assert app.broker is first
    app.conf.broker_url = "memory://another"
    assert app.broker is not first
    assert app.broker.display_url == "memory://another"


def test_workers_open_their_own(app):
    assert app.open_broker() is not app.open_broker()
    assert app.open_backend() is not app.backend


def test_workers_may_read_elsewhere_than_clients_write(app):
    app.conf.broker_read_url = "memory://read"
    app.conf.broker_write_url = "memory://write"

    assert app.broker.display_url == "memory://write"
    assert app.open_broker().display_url == "memory://read"


def test_an_unknown_scheme_is_refused_with_the_nearest(app):
    app.conf.broker_url = "redsi://localhost"

    with pytest.raises(ImproperlyConfigured, match="redis"):
        _ = app.broker


def test_options_of_other_brokers_do_not_disturb(app):
    app.conf.broker_transport_options = {"global_keyprefix": "own:"}

    assert app.broker.display_url.startswith("memory://")


def test_the_connection_timeout_of_the_settings_is_that_of_the_brokers_driver():
    app = Umbel("proj", broker="redis://localhost", broker_connection_timeout=1.5)
    assert app.broker.address.connect_timeout == 1.5

    app = Umbel("proj", broker="redis://localhost", broker_connection_timeout=1.5)
    app.conf.redis_socket_connect_timeout = 0.5
    assert app.broker.address.connect_timeout == 0.5, "what is said of the driver itself wins"


def test_settings_reach_the_broker(store):
    app = Umbel(
        "proj", broker="redis://127.0.0.1:1/0", publish_timeout=0.5, redis_priority_order="celery"
    )
    app.conf.broker_transport_options = {"global_keyprefix": "own:"}
    app.conf.redis_socket_timeout = 3

    assert app.broker.publish_timeout == 0.5
    assert app.broker.address.prefix == "own:"
    assert app.broker.address.timeout == 3
    assert app.backend.display_url == app.broker.display_url


def test_the_embedded_file_is_in_the_current_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    app = Umbel("proj")

    assert app.embedded
    assert app.broker.display_url.endswith(f"{tmp_path}/umbel.sqlite3")
    assert list(tmp_path.iterdir()) == []


def test_purging_tells_whoever_waits(app):
    task = app.task(lambda: None, name="x")
    asked, ignored = task.delay(), task.apply_async(ignore_result=True)

    assert app.purge("celery") == 2
    assert asked.state == "REVOKED"
    with pytest.raises(TaskRevokedError, match="purged"):
        asked.get(timeout=1)
    assert not app.AsyncResult(ignored.id).exists()
    assert app.purge("celery") == 0


def test_an_app_shows_its_name():
    assert repr(Umbel("proj")) == "<Umbel proj>"
    assert repr(Celery()) == "<Celery (no name)>"
