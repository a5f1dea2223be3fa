"""Which app a project has: the one it defines, wherever that is, or one made for it."""

from __future__ import annotations

import signal

from tests.deployment import await_true
from tests.integration.django.conftest import Project

OURS = {"DJANGO_SETTINGS_MODULE": "ours.settings"}
NAME_AND_QUEUE = "[app.main, app.conf.task_default_queue]"


def test_a_project_without_an_app_gets_one_named_after_it(project: Project) -> None:
    assert project.evaluate("app.main") == project.folder.name
    assert project.evaluate("type(app._get_current_object()).__name__") == "Umbel"


def test_where_a_worker_is_missing_the_project_is_told_its_own_command(project: Project) -> None:
    assert project.evaluate("app.worker_command") == "python manage.py celery worker"
    assert project.evaluate("app.worker_command", **OURS) is None


def test_tasks_of_all_installed_apps_are_found(project: Project) -> None:
    names = project.evaluate("(app.import_modules(), sorted(app.tasks))[1]")

    assert {"orders.tasks.add", "orders.tasks.look"} <= set(names)


def test_a_project_with_an_app_keeps_it(project: Project) -> None:
    assert project.evaluate(NAME_AND_QUEUE, **OURS) == ["ours-by-hand", "ours"]


def test_a_project_with_a_task_class_keeps_it(project: Project) -> None:
    settings = {"DJANGO_SETTINGS_MODULE": "ours.settings"}
    names = "[type(app.tasks['orders.tasks.add']).__name__, app.Task.__name__]"

    assert project.evaluate(f"(app.import_modules(), {names})[1]") == ["DjangoTask"] * 2
    assert project.evaluate(f"(app.import_modules(), {names})[1]", **settings) == ["OurTask"] * 2


def test_an_app_that_the_project_forgot_to_import_is_found(project: Project) -> None:
    settings = {"DJANGO_SETTINGS_MODULE": "forgotten.settings.production"}

    assert project.evaluate("app.main", **settings) == "forgotten-by-init"


def test_an_installed_app_that_asks_too_early_gets_the_projects_app(project: Project) -> None:
    settings = {"DJANGO_SETTINGS_MODULE": "settings_early"}
    expression = "[app == __import__('orders.apps').apps.seen['early_app'], app.main]"

    assert project.evaluate(expression, **settings) == [True, project.folder.name]


def test_the_command_line_finds_the_projects_app_without_a_name(project: Project) -> None:
    report = project.umbel("report", **OURS)

    assert report.returncode == 0, report.stderr
    assert "app: ours-by-hand" in report.stdout
    assert f"broker: sqlite:///{project.folder}/umbel.sqlite3" in report.stdout


def test_a_named_app_may_bring_its_settings_along(project: Project) -> None:
    report = project.umbel("-A", "ours", "report")

    assert "task_default_queue: 'ours'" in report.stdout
    assert "timezone: 'Asia/Shanghai'" in report.stdout


def test_a_project_without_us_in_installed_apps_works_as_with_celery(project: Project) -> None:
    settings = {"DJANGO_SETTINGS_MODULE": "ours.settings_without_us"}
    sent = project.umbel("-A", "ours", "call", "orders.tasks.look", **settings)
    assert sent.returncode == 0, sent.stderr
    worker = project.worker_of("ours", **settings)

    await_true(lambda: "succeeded" in worker.log, 10)

    assert "'orders': 0" in worker.log
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
