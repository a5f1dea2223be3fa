from __future__ import annotations

import gc
from uuid import uuid4

import pytest

from umbel import Celery, Task, Umbel, current_app, shared_task
from umbel.app import shared
from umbel.current import existing_app, use_app
from umbel.exceptions import AlreadyRegistered, UmbelWarning, UnknownOption


def new(kind=Umbel, **options):
    return kind("proj", broker=f"memory://{uuid4().hex}", **options)


def test_a_shared_task_belongs_to_every_app_there_is_and_will_be():
    before = new()

    @shared_task
    def add(x, y):
        return x + y

    after = new()

    assert before.tasks[add.name] is add
    assert after.tasks[add.name] is add
    assert add.name == f"{__name__}.add"
    assert add(2, 3) == 5


def test_it_speaks_for_the_app_that_is_current_when_it_is_used():
    first, second = new(), new()
    task = shared_task(lambda: None, name="x")

    assert task.app is second
    with use_app(first):
        assert task.app is first
        task.delay()
    assert first.broker.admin.queues()[0].ready == 1
    assert second.broker.admin.queues() == []


def test_it_can_be_declared_before_any_app_exists_and_is_judged_by_the_first():
    shared_task(max_retrys=3, name="x")(lambda: None)

    with pytest.warns(UmbelWarning, match="did you mean 'max_retries'"):
        lenient = new(Celery)
    assert lenient.tasks["x"].max_retrys == 3
    with pytest.raises(UnknownOption, match="did you mean 'max_retries'"):
        new(Umbel)


def test_with_an_app_it_is_judged_at_once():
    new()

    with pytest.raises(UnknownOption):
        shared_task(max_retrys=3, name="x")(lambda: None)


def test_it_takes_options_and_the_function():
    task = shared_task(lambda: None, name="x", max_retries=7)

    assert (task.name, task.max_retries) == ("x", 7)
    with pytest.raises(TypeError, match="decorates functions"):
        shared_task("x")


def test_bind_and_base_are_the_same_as_with_an_app():
    class Own(Task):
        colour = "blue"

    @shared_task(bind=True, base=Own)
    def itself(self):
        return self.colour

    assert itself() == "blue"


class Base(Task):
    """The class of a whole project."""

    def __call__(self, *args, **kwargs):
        return "base", super().__call__(*args, **kwargs)


@pytest.mark.parametrize("kind", [Umbel, Celery])
def test_it_is_of_the_class_of_the_apps_tasks_in_whatever_order_they_are_made(kind):
    early = shared_task(lambda: 1, name="early")
    own = shared_task(lambda: 1, name="own", base=Task)
    app = new(kind, task_cls=Base)
    late = shared_task(lambda: 2, name="late")
    app.finalize()

    assert early() == ("base", 1)
    assert late() == ("base", 2)
    assert own() == 1


def test_a_class_assigned_later_counts_too():
    app = new()
    task = shared_task(lambda: 1, name="x")

    app.Task = Base

    assert task() == ("base", 1)


def test_two_shared_tasks_of_one_name_are_an_error():
    new()
    shared_task(lambda: 1, name="twice")

    with pytest.raises(AlreadyRegistered):

        @shared_task(name="twice")
        def other():
            return None


def test_attributes_of_the_function_stay_reachable():
    def function():
        return None

    function.throttled = True

    task = shared_task(function)

    assert task.__wrapped__.throttled
    assert task.run.throttled


def test_apps_are_not_kept_alive():
    new(set_as_current=False)
    gc.collect()

    assert len(shared._apps) == 0


def test_integrations_meet_every_app():
    met = []
    before = new()

    shared.integrate(met.append)
    after = new()

    assert met == [before, after]


def test_the_current_app_is_made_when_there_is_none():
    assert isinstance(current_app._get_current_object(), Umbel)


def test_it_is_told_of_every_app_and_takes_their_annotations():
    class Told(Task):
        def on_bound(self, app):
            self.apps = [*getattr(self, "apps", []), app]

    before = new(task_annotations={"x": {"rate_limit": "1/s"}})
    before.finalize()
    task = shared_task(lambda: 1, name="x", base=Told)
    after = new()

    assert task.apps == [before, after]
    assert task.rate_limit == "1/s"


def test_an_app_that_could_not_be_made_is_not_the_current_one():
    shared_task(lambda: 1, name="x", max_retrys=1)

    with pytest.raises(UnknownOption):
        new()

    assert existing_app() is None


def test_an_argument_may_be_called_self(sent):
    app = new()

    @app.task(name="x")
    def work(this, **others):
        return others

    assert work(1, self=2) == {"self": 2}
    work.delay(1, self=2)
    assert sent(app)[0].headers["kwargsrepr"] == "{'self': 2}"
