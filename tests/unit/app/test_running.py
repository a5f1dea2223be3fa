"""What a task sees of itself while it runs, in a worker or called like a function."""

from __future__ import annotations

import threading

import pytest

from umbel import Task, current_task
from umbel.app.context import Context
from umbel.result import AsyncResult


def worked_on(task, **attributes):
    """What a worker would run it with."""
    return task.requested(Context({"id": "id", "called_directly": False, **attributes}))


def run(task, *args):
    """As a worker does."""
    with worked_on(task, args=args):
        return task.callable()(*args)


def test_called_like_a_function_it_knows_its_arguments_and_nothing_else(app):
    @app.task(bind=True)
    def itself(self, x):
        request = self.request
        return request.called_directly, request.args, request.id, current_task.name

    assert itself(3) == (True, (3,), None, itself.name)
    assert not current_task


def test_in_a_worker_it_knows_its_request(app):
    @app.task(bind=True)
    def itself(self, x):
        return self.request.called_directly, self.request.id, current_task == self, app.current_task

    assert run(itself, 3) == (False, "id", True, itself)


def test_a_task_called_by_a_task_has_a_request_of_its_own(app):
    @app.task(bind=True)
    def inner(self):
        return self.request.called_directly, app.current_task.name, app.current_worker_task.name

    @app.task(bind=True)
    def outer(self):
        return inner(), self.request.id

    assert run(outer) == ((True, inner.name, outer.name), "id")


def test_a_task_that_calls_itself_begins_a_call_of_its_own(app):
    @app.task(bind=True)
    def down(self, number):
        return [self.request.called_directly] + (self(number - 1) if number else [])

    assert run(down, 2) == [False, True, True]


def test_an_overridden_call_surrounds_the_function_and_keeps_the_request(app):
    class InContext(Task):
        def __call__(self, *args, **kwargs):
            tenant = kwargs.pop("tenant", "none")
            return tenant, super().__call__(*args, **kwargs)

    @app.task(bind=True, base=InContext)
    def itself(self, x):
        return self.request.id, x

    assert itself.callable() is itself
    with worked_on(itself):
        assert itself.callable()(1, tenant="blue") == ("blue", ("id", 1))
    assert itself.run(1) == (None, 1)


def test_within_an_overridden_call_calls_are_calls_of_their_own(app):
    class InContext(Task):
        def __call__(self, *args, **kwargs):
            return super().__call__(*args, **kwargs)

    @app.task(bind=True, base=InContext)
    def down(self, number):
        return [self.request.called_directly] + (self(number - 1) if number else [])

    assert run(down, 2) == [False, True, True]


def test_without_an_overridden_call_the_function_is_what_a_worker_calls(app):
    plain = app.task(lambda: None, name="plain")

    assert plain.callable() is plain.run


def test_tests_may_pretend_a_request(app):
    @app.task(bind=True)
    def itself(self):
        return self.request.retries

    itself.push_request(retries=3)
    try:
        assert itself.run() == 3
    finally:
        itself.pop_request()
    assert itself.request.retries == 0


def test_threads_do_not_see_each_others_task(app):
    task = app.task(lambda: None, name="x")
    seen = []

    with worked_on(task):
        thread = threading.Thread(target=lambda: seen.append((bool(current_task), task.request.id)))
        thread.start()
        thread.join()

    assert seen == [(False, None)]


def test_overridden_methods_are_known(app):
    class Own(Task):
        def retry(self, *args, **options):
            return super().retry(*args, **options)

    task = app.task(lambda: None, name="x", base=Own)

    assert task.overrides("retry")
    assert not task.overrides("apply_async")
    task.apply_async = lambda *args, **options: None
    assert task.overrides("apply_async")


def test_progress_is_stored(app):
    @app.task(bind=True)
    def slow(self):
        self.update_state(state="PROGRESS", meta={"done": 3, "of": 10})
        return AsyncResult(self.request.id, app=app)

    result = run(slow)

    assert (result.state, result.info) == ("PROGRESS", {"done": 3, "of": 10})


def test_progress_of_another_task_may_be_stored(app):
    task = app.task(lambda: None, name="x")

    task.update_state("other", "PROGRESS", {"done": 1})

    assert task.AsyncResult("other").info == {"done": 1}


def test_progress_of_a_direct_call_is_nobodys(app):
    @app.task(bind=True)
    def slow(self):
        self.update_state(state="PROGRESS", meta={"done": 3})
        return "done"

    assert slow() == "done"


def test_progress_goes_nowhere_where_results_are_disabled(app):
    app.conf.result_backend = "disabled"

    app.task(lambda: None, name="x").update_state("id", "PROGRESS", {})

    assert app.backend is None


@pytest.mark.parametrize(
    "name", ["before_start", "on_success", "on_retry", "on_failure", "after_return"]
)
def test_handlers_are_there_to_be_overridden(name):
    assert callable(getattr(Task, name))
