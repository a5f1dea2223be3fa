from __future__ import annotations

import subprocess
import sys

import pytest

from umbel import Celery, Umbel
from umbel.app.discovery import find_app
from umbel.exceptions import ImproperlyConfigured

APP = (
    "from umbel import Umbel\n{name} = Umbel('{main}', broker='memory://', set_as_current=False)\n"
)


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a project into the current directory, which is not on Python's path yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    before = set(sys.modules)

    def files(contents):
        for name, text in contents.items():
            path = tmp_path / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.parent != tmp_path:
                (path.parent / "__init__.py").touch()
            path.write_text(text)
        return tmp_path

    yield files
    for name in set(sys.modules) - before:
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


def app(main, name="app"):
    return APP.format(name=name, main=main)


@pytest.mark.parametrize(
    "asked", ["proj", "proj.celery", "proj.celery:app", "proj.celery.app", "proj:celery"]
)
def test_a_package_with_a_celery_module_is_found_in_every_spelling(write, asked):
    write({"proj/celery": app("mine"), "proj/__init__": "from proj import celery\n"})

    assert find_app(asked).main == "mine"


@pytest.mark.parametrize("name", ["app", "celery", "umbel"])
def test_a_module_is_searched_for_the_usual_names(write, name):
    write({"single": app("mine", name)})

    assert find_app("single").main == "mine"


def test_else_for_any_app(write):
    write({"single": app("mine", "unusual")})

    assert find_app("single").main == "mine"
    assert find_app("single:unusual").main == "mine"
    assert find_app("single.unusual").main == "mine"


def test_the_usual_name_is_taken_before_others(write):
    write({"single": app("first", "aaa") + app("usual")})

    assert find_app("single").main == "usual"


def test_a_package_of_the_same_app_twice_is_no_doubt(write):
    write(
        {
            "proj/__init__": "from proj.main import application\nalias = application\n",
            "proj/main": app("mine", "application"),
        }
    )

    assert find_app("proj").main == "mine"


@pytest.mark.parametrize("module", ["celery", "umbel", "app", "tasks"])
def test_the_usual_modules_of_a_package_are_searched(write, module):
    write({f"proj/{module}": app("mine")})

    assert find_app("proj").main == "mine"


def test_an_app_may_be_an_attribute_of_something(write):
    write({"single": "class Holder:\n    " + app("mine").replace("\n", "\n    ")})

    assert find_app("single:Holder.app").main == "mine"


def test_the_current_directory_comes_first(write):
    folder = write({"single": app("mine")})

    find_app("single")

    assert sys.path[0] == str(folder)


def test_without_a_name_it_is_the_app_that_exists(store):
    made = Celery("mine", broker=store)

    assert find_app(None) is made


def test_without_a_name_and_an_app_the_way_to_say_it_is_shown():
    with pytest.raises(ImproperlyConfigured, match="umbel -A proj worker"):
        find_app(None)


def refusal(name):
    with pytest.raises(ImproperlyConfigured) as refused:
        find_app(name)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_module_that_does_not_exist_is_named_with_place_and_nearest(write):
    folder = write({"project": app("mine")})

    assert refusal("projekt") == (
        f"There is no module 'projekt' in {folder} or anywhere else on Python's path; "
        "did you mean 'project'?"
    )


def test_a_module_that_does_not_exist_in_a_package_is_told_apart(write):
    folder = write({"proj/celery": app("mine")})

    assert refusal("proj.celry:app") == (
        f"There is no module 'celry' in proj ({folder}/proj/__init__.py); did you mean 'celery'?"
    )
    assert "no module 'celry' in proj" in refusal("proj.celry")


def test_a_module_that_cannot_be_imported_tells_why_and_where(write):
    folder = write({"proj/celery": "import umbel\nimport no_such_library\n"})

    assert refusal("proj.celery") == (
        "Importing proj.celery failed with ModuleNotFoundError: No module named 'no_such_library' "
        f"({folder}/proj/celery.py:2)"
    )


def test_any_error_in_a_module_is_shown(write):
    folder = write({"broken": "1 / 0\n", "wrong": "def (:\n"})

    assert (
        refusal("broken")
        == f"Importing broken failed with ZeroDivisionError: division by zero ({folder}/broken.py:1)"
    )
    assert (
        f"Importing wrong failed with SyntaxError: invalid syntax (wrong.py, line 1) ({folder}/wrong.py:1)"
        == refusal("wrong")
    )


def test_a_module_without_an_app_tells_what_was_looked_for(write):
    folder = write({"proj/tasks": "", "proj/celery": ""})

    assert refusal("proj") == (
        f"No app in proj, proj.celery, proj.tasks ({folder}/proj/__init__.py): looked for app, celery, "
        "umbel and for any other Umbel or Celery object"
    )


def test_a_missing_attribute_is_named_with_the_nearest(write):
    folder = write({"single": app("mine")})

    assert (
        refusal("single:appp") == f"single ({folder}/single.py) has no 'appp'; did you mean 'app'?"
    )


def test_something_that_is_no_app_is_named(write):
    write({"single": "app = 7\n"})

    assert refusal("single:app") == "single:app is int, not an app"


def test_several_apps_have_to_be_told_apart(write):
    write({"single": app("one", "one") + app("two", "two")})

    assert refusal("single") == "single has several apps: one, two; say which: -A single:one"


def test_a_proxy_is_no_app_of_a_module(write, store):
    Umbel("current", broker=store)
    write({"single": "from umbel import current_app\n" + app("mine", "own")})

    assert find_app("single").main == "mine"


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("./tasks", "tasks"),
        ("tasks.py", "tasks"),
        ("./proj/tasks.py:app", "proj.tasks:app"),
        (":app", "MODULE:app"),
        ("tasks:", "tasks"),
        ("..tasks", "tasks"),
        ("proj..tasks", "proj.tasks"),
    ],
)
def test_a_path_or_half_a_name_is_answered_with_what_to_write(write, slip, meant):
    write({"tasks": app("one")})

    with pytest.raises(ImproperlyConfigured, match=f"write -A {meant}$"):
        find_app(slip)


def test_inside_a_django_project_manage_py_is_named(write, monkeypatch):
    write({"empty": ""})
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "proj.settings")

    with pytest.raises(
        ImproperlyConfigured, match=r"No app in empty .*python manage\.py celery worker"
    ):
        find_app("empty")


PACKAGE = """
from umbel import Umbel
app = Umbel(broker="memory://", set_as_current=False)
@app.task
def hi(): ...
if __name__ == "__main__":
    print(hi.name)
"""


def test_a_package_that_is_run_names_its_tasks_as_its_worker_does(write):
    place = write({"mp/__main__": PACKAGE})

    ran = subprocess.run(
        [sys.executable, "-m", "mp"], cwd=place, capture_output=True, text=True, check=True
    )

    assert ran.stdout.strip() == "mp.hi"
    assert list(find_app("mp.__main__").tasks) == ["mp.hi"]
