"""``manage.py celery`` and ``manage.py umbel``: the same command line, with the project's app."""

from __future__ import annotations

import json
import signal

import pytest
from tests.deployment import await_true
from tests.integration.django.conftest import Project, read_json

UNKNOWN_TASK_ID = "5b6a1f0e-2f5b-4d5e-9f0b-3d3c8f3b1a11"


def test_a_worker_runs_what_a_view_sends(project: Project) -> None:
    node = project.worker("-c", "2", "--settings=settings")

    with project.site() as site:
        task_id = read_json(f"{site}/send/?x=2&y=3")["id"]
        answer = await_true(lambda: ended(f"{site}/answer/{task_id}/"), 10)

    assert answer == {"state": "SUCCESS", "result": 5}
    assert "orders.tasks.look" in node.log  # the banner: found without being asked for
    node.signal(signal.SIGTERM)
    assert node.wait() == 0


def ended(url: str) -> dict | None:
    answer = read_json(url)
    return answer if answer["state"] not in {"PENDING", "STARTED"} else None


def test_a_job_that_no_worker_took_waits_in_a_file_in_the_base_directory(project: Project) -> None:
    sent = project.manage("umbel", "call", "orders.tasks.add", "--args", "[2, 3]")

    assert sent.returncode == 0, sent.stderr
    assert (project.folder / "umbel.sqlite3").exists()
    shown = project.manage("celery", "queues", "--json")
    assert json.loads(shown.stdout)["queues"] == [
        {"name": "celery", "ready": 1, "delayed": 0, "lent": 0, "paused": False}
    ]

    project.worker("-c", "1")
    result = project.manage("celery", "result", sent.stdout.strip(), "--wait", "10")
    assert (result.stdout, result.returncode) == ("5\n", 0)


def test_every_command_is_there_under_both_names(project: Project) -> None:
    for name in ("celery", "umbel"):
        shown = project.manage(name, "--help")
        assert shown.stdout.startswith(f"Usage: manage.py {name} ")
        for command in ("call", "dead", "purge", "queues", "report", "result", "status", "worker"):
            assert f"\n  {command} " in shown.stdout


def test_django_knows_the_commands_and_shows_their_help(project: Project) -> None:
    listed = project.manage("help", "--commands").stdout.splitlines()

    assert {"celery", "umbel"} <= set(listed)
    assert "Commands:" in project.manage("help", "celery").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("celery", "report", "--settings=settings_of_both_names"),
        ("celery", "--settings", "settings_of_both_names", "report"),
        ("celery", "--pythonpath", ".", "report", "--settings=settings_of_both_names"),
        ("celery", "report", "--pythonpath=.", "--settings", "settings_of_both_names"),
    ],
)
def test_djangos_own_options_may_stand_anywhere(
    project: Project, arguments: tuple[str, ...]
) -> None:
    report = project.manage(*arguments)

    assert report.returncode == 0, report.stderr
    assert "task_default_priority: 3" in report.stdout


def test_settings_in_the_umbel_namespace_win_over_those_in_the_celery_namespace(
    project: Project,
) -> None:
    report = project.manage("celery", "report", "--settings=settings_of_both_names")

    assert "task_default_queue: 'from-umbel'" in report.stdout
    assert "timezone: 'Europe/Berlin'" in report.stdout


def test_a_misspelt_setting_is_named_with_the_nearest_one(project: Project) -> None:
    shown = project.manage("celery", "queues", "--settings=settings_misspelt")

    assert "CELERY_TASK_ALWAYS_EAGERR" in shown.stderr
    assert "did you mean 'CELERY_TASK_ALWAYS_EAGER'" in shown.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("status",), 69, "0 nodes online."),
        (("worke",), 2, "No such command 'worke'"),
        (("queues", "--jsn"), 2, "--jsn"),
        (("result", UNKNOWN_TASK_ID), 1, "Unknown: no task of this id"),
        (("call", "orders.tasks.add", "--args", "2"), 2, "expected a list"),
    ],
)
def test_exit_codes_pass_through(
    project: Project, arguments: tuple[str, ...], code: int, says: str
) -> None:
    done = project.manage("celery", *arguments)

    assert done.returncode == code
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_broker_that_is_not_there_is_one_line(project: Project) -> None:
    done = project.manage("celery", "queues", "-h")
    assert done.returncode == 0

    done = project.manage("celery", "-b", "sqlite:////nowhere/at/all.sqlite3", "queues")

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "/nowhere/at/all.sqlite3" in done.stderr


def test_a_worker_checks_the_project_first_unless_told_not_to(project: Project) -> None:
    broken = ("celery", "worker", "--settings=settings_broken")

    done = project.manage(*broken)
    assert done.returncode == 1
    assert "orders.nowhere" in done.stderr

    node = project.worker("-c", "1", "--settings=settings_broken", "--skip-checks")
    node.signal(signal.SIGTERM)
    assert node.wait() == 0


def test_commands_can_be_called_from_code(project: Project) -> None:
    code = "from django.core.management import call_command as call; call('umbel', 'status', '-j')"

    done = project.manage("shell", "-v", "0", "-c", code)

    assert done.stdout == "[]\n"
    assert "CommandError: umbel status -j ended with 69" in done.stderr


def test_a_missing_settings_module_is_named(project: Project) -> None:
    by_django = project.manage("celery", "worker", "--settings=shop.settngs")
    by_umbel = project.umbel("worker", DJANGO_SETTINGS_MODULE="shop.settngs")

    assert by_django.returncode != 0
    assert "No module named 'shop'" in by_django.stderr.splitlines()[-1]
    assert by_umbel.returncode == 1
    assert by_umbel.stderr.startswith(
        "Error: DJANGO_SETTINGS_MODULE is 'shop.settngs', but there is no module 'shop' in "
    )
    assert len(by_umbel.stderr.splitlines()) == 1


def test_the_projects_own_test_suite_passes(project: Project) -> None:
    done = project.manage("test", "orders")

    assert done.returncode == 0, done.stderr
    assert "Ran 8 tests" in done.stderr
