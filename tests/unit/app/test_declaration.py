from __future__ import annotations

import asyncio
import functools
import inspect
import pickle
import sys
import types

import pytest

from umbel import Celery, Task, Umbel
from umbel.app.declaration import module_name
from umbel.exceptions import (
    AlreadyRegistered,
    ImproperlyConfigured,
    NotRegistered,
    UmbelWarning,
    UnknownOption,
)


def test_a_decorated_function_is_a_task_at_once(app):
    @app.task
    def add(x, y):
        """Add."""
        return x + y

    assert isinstance(add, Task)
    assert add.app is app
    assert add.__doc__ == "Add."
    assert add.__name__ == "add"
    assert add.__module__ == __name__
    assert add.run is add.__wrapped__
    assert str(inspect.signature(add)) == "(x, y)"


def test_the_name_is_module_and_function(app):
    @app.task
    def add():
        return None

    assert add.name == f"{__name__}.add"
    assert app.tasks[add.name] is add


def test_a_decorator_takes_options(app):
    @app.task(name="sum", max_retries=5, queue="slow", ignore_result=True)
    def add():
        return None

    assert (add.name, add.max_retries, add.queue, add.ignore_result) == ("sum", 5, "slow", True)


def test_the_decorator_may_be_called_without_options_and_with_the_function(app):
    def one():
        return 1

    def two():
        return 2

    assert app.task()(one).run is one
    assert app.task(two, name="two").name == "two"


def test_only_functions_are_decorated(app):
    with pytest.raises(TypeError, match="decorates one function"):
        app.task("name")


def test_bind_gives_the_task_to_the_function(app):
    @app.task(bind=True)
    def itself(self, x):
        return self, x

    assert itself(3) == (itself, 3)
    assert itself.run(3) == (itself, 3)
    assert str(inspect.signature(itself.run)) == "(x)"


def test_options_that_a_setting_decides_follow_the_setting(app):
    @app.task
    def add():
        return None

    assert add.ignore_result is False
    app.conf.task_ignore_result = True
    assert add.ignore_result is True
    add.ignore_result = False
    assert add.ignore_result is False


def test_none_for_such_an_option_means_as_the_setting_says(app):
    class Base(Task):
        ignore_result = None

    @app.task(serializer=None, base=Base)
    def add():
        return None

    app.conf.task_serializer = "yaml"
    app.conf.task_ignore_result = True

    assert add.serializer == "yaml"
    assert add.ignore_result is True


def test_a_class_may_decide_for_its_tasks(app):
    class Patient(Task):
        max_retries = None
        acks_late = False

    @app.task(base=Patient)
    def add():
        return None

    assert add.max_retries is None
    assert add.acks_late is False


def test_an_unknown_option_is_an_error(app):
    words = "has no option 'retry_back_off'; did you mean 'retry_backoff'"

    with pytest.raises(UnknownOption, match=words):
        app.task(name="x", retry_back_off=True)(lambda: None)


def test_a_lenient_app_makes_attributes_of_unknown_options(celery):
    @celery.task(verbose_name="Adding", lock_expiry=30)
    def add():
        return None

    assert add.verbose_name == "Adding"
    assert add.lock_expiry == 30


def test_a_lenient_app_warns_of_a_near_miss(celery):
    with pytest.warns(UmbelWarning, match="did you mean 'ignore_result'"):

        @celery.task(ignore_results=True)
        def add():
            return None

    assert add.ignore_result is False


@pytest.mark.parametrize("function", [lambda: None, functools.partial(print)])
def test_what_has_no_name_needs_to_be_given_one(app, function):
    with pytest.raises(ImproperlyConfigured, match=r"give it one: @app.task\(name='...'\)"):
        app.task(function)

    assert app.task(function, name="named").name == "named"


def test_two_functions_of_one_name_are_an_error_that_names_both(app):
    @app.task(name="twice")
    def one():
        return 1

    with pytest.raises(AlreadyRegistered) as refused:

        @app.task(name="twice")
        def two():
            return 2

    assert "test_declaration.py:" in str(refused.value)
    assert "one" in str(refused.value)
    assert "two" in str(refused.value)
    assert app.tasks["twice"] is one


def test_a_lenient_app_keeps_the_first_of_two_and_warns(celery):
    @celery.task(name="twice")
    def one():
        return 1

    with pytest.warns(UmbelWarning, match="Two tasks are called 'twice'"):

        @celery.task(name="twice")
        def two():
            return 2

    assert two is one


def test_the_same_function_may_be_declared_again(app):
    def declare():
        @app.task(name="again")
        def function():
            return None

        return function

    declare()
    second = declare()

    assert app.tasks["again"] is second


def test_a_missing_task_is_named_with_the_nearest_one(app):
    app.task(lambda: None, name="proj.resize")

    with pytest.raises(
        NotRegistered, match=r"No task is called 'proj\.resiz'; did you mean 'proj\.resize'"
    ):
        app.tasks["proj.resiz"]


def test_tasks_can_be_unregistered(app):
    task = app.task(lambda: None, name="gone")

    app.tasks.unregister(task)

    assert "gone" not in app.tasks
    with pytest.raises(NotRegistered):
        app.tasks.unregister("gone")


def test_a_coroutine_function_is_a_task(app):
    @app.task
    async def fetch(number):
        await asyncio.sleep(0)
        return number + 1

    assert fetch.is_coroutine
    assert asyncio.run(fetch(1)) == 2, "called directly, it is what it was"
    assert fetch.apply((2,)).get() == 3


def test_a_coroutine_function_is_run_where_it_is_applied_also_in_a_running_event_loop(app):
    @app.task(bind=True)
    async def name(self):
        await asyncio.sleep(0)
        return self.request.id

    async def caller():
        return name.apply(task_id="here").get()

    assert asyncio.run(caller()) == "here"


def test_filter_is_applied_to_the_function_first(app):
    def twice(function):
        @functools.wraps(function)
        def wrapper(*args):
            return function(*args) * 2

        return wrapper

    @app.task(filter=twice)
    def one():
        return 1

    assert one() == 2


def test_a_class_is_registered_as_a_task(app):
    class Report(Task):
        def run(self, number):
            return number + 1

    task = app.register_task(Report)

    assert task.name == f"{__name__}.Report"
    assert app.tasks[task.name] is task
    assert task(1) == 2
    assert task.app is app


def test_an_instance_is_registered_under_its_own_name(app):
    class Report(Task):
        name = "report"

        def run(self):
            return None

    report = Report()

    assert app.register_task(report) is report
    assert app.tasks["report"] is report


def test_a_subclass_need_not_call_the_initializer_of_task(app):
    class Caching(Task):
        def __init__(self):
            self.cache = {self.name: self.run}

    @app.task(base=Caching)
    def add():
        return None

    assert add.cache == {add.name: add.__wrapped__}


def test_a_subclass_may_wrap_run_in_new(app):
    class Wrapping(Task):
        def __new__(cls, *args, **kwargs):
            made = super().__new__(cls, *args, **kwargs)
            if getattr(made, "__header__", None) is not None:
                made.__header__ = functools.partial(made.__header__, object())
            inner = made.run

            @functools.wraps(inner)
            def run(*args, **kwargs):
                return inner("request", *args, **kwargs)

            made.run = run
            return made

    @app.task(base=Wrapping)
    def view(request, number):
        return request, number

    assert view(1) == ("request", 1)
    assert view.delay(1).id
    with pytest.raises(TypeError, match="missing a required argument: 'number'"):
        view.delay()


def test_a_task_made_while_another_is_being_made_is_not_mistaken_for_it(app):
    class Parent(Task):
        def __init__(self):
            self.helper = Task()

    @app.task(base=Parent, name="outer")
    def outer():
        return None

    assert outer.name == "outer"
    assert outer.helper.name is None


def test_a_pickled_task_is_the_task_of_that_name(app):
    add = app.task(lambda: None, name="proj.add")

    assert pickle.loads(pickle.dumps(add)) is add


class Counting(Task):
    """Found by its dotted path."""


def test_the_class_of_an_apps_tasks_may_be_given_as_a_path(store):
    app = Umbel("proj", broker=store, task_cls=f"{__name__}.Counting")
    sys.modules[__name__] = types.ModuleType(__name__)
    sys.modules[__name__].Counting = Counting

    assert isinstance(app.task(lambda: None, name="x"), Counting)


@pytest.mark.parametrize("path", ["no.such.Class", "umbel.Nothing", "Plain"])
def test_a_path_that_leads_nowhere_is_an_error(store, path):
    app = Umbel("proj", broker=store, task_cls=path)

    with pytest.raises(ImproperlyConfigured, match="Cannot import task_cls"):
        app.task(lambda: None, name="x")


def test_the_class_of_an_apps_tasks_may_be_set_on_the_apps_class(store):
    class Own(Celery):
        task_cls = Counting

    assert isinstance(Own("proj", broker=store).task(lambda: None, name="x"), Counting)


def test_the_class_of_an_apps_tasks_may_be_assigned_late(app):
    early = app.task(lambda: "early", name="early")
    kept = app.task(lambda: "kept", name="kept", base=Task)

    class Late(Task):
        def __call__(self, *args, **kwargs):
            return f"late {super().__call__(*args, **kwargs)}"

    app.Task = Late

    assert app.Task is Late
    assert early() == "late early"
    assert type(kept) is Task


def test_a_task_class_may_be_derived_from_the_apps(app):
    class Derived(app.Task):
        default_retry_delay = 1

    assert app.task(lambda: None, name="x", base=Derived).default_retry_delay == 1


def test_a_script_is_called_by_the_name_of_its_app_or_else_of_its_file(monkeypatch):
    script = types.ModuleType("__main__")
    script.__file__ = "/srv/proj/tasks.py"
    script.__spec__ = None
    monkeypatch.setitem(sys.modules, "__main__", script)

    assert module_name("__main__", "proj") == "proj"
    assert module_name("__main__", None) == "tasks"
    assert module_name("proj.tasks", None) == "proj.tasks"


def test_a_module_that_is_run_is_called_by_the_name_it_is_imported_by(monkeypatch):
    script = types.ModuleType("__main__")
    script.__spec__ = types.SimpleNamespace(name="proj.worker.__main__")
    monkeypatch.setitem(sys.modules, "__main__", script)

    assert module_name("__main__", None) == "proj.worker"


def test_an_app_may_name_tasks_in_its_own_way(store):
    class Own(Umbel):
        def gen_task_name(self, name, module):
            return f"own:{name}"

    assert (
        Own("proj", broker=store)
        .task(test_an_app_may_name_tasks_in_its_own_way)
        .name.startswith("own:")
    )


def test_a_task_says_which_it_is(app):
    assert repr(app.task(lambda: None, name="proj.add")) == "<@task: proj.add of proj>"


def test_a_name_that_is_no_string_is_refused(app):
    class Numbered(Task):
        name = 5

    with pytest.raises(TypeError, match="the name of a task must be a string, not 5"):
        app.task(lambda: None, name=5)
    with pytest.raises(TypeError, match="Numbered: the name of a task must be a string, not 5"):
        app.register_task(Numbered)


@pytest.mark.parametrize("rate", ["10/q", "fast", True])
def test_a_rate_that_says_nothing_is_refused(app, rate):
    with pytest.raises(
        ImproperlyConfigured, match=r"rate_limit=.*such as '10/s', '100/m' or '1000/h'"
    ):
        app.task(lambda: None, name="x", rate_limit=rate)
