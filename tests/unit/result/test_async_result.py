from __future__ import annotations

import pickle
import threading
import time
from datetime import UTC, datetime

import pytest

from umbel import AsyncResult, Umbel, states
from umbel.app.context import Context
from umbel.exceptions import (
    ImproperlyConfigured,
    ResultNotFound,
    TaskRevokedError,
    TimeoutError,  # noqa: A004
)
from umbel.message.failure import describe, format_traceback
from umbel.message.record import ResultRecord
from umbel.result import allow_join_result, assert_will_not_block, denied_join_result


@pytest.fixture
def task(app):
    return app.task(lambda: None, name="proj.work")


@pytest.fixture
def finish(app):
    """Store how a task ended."""

    def store(task_id, value=None, status=states.SUCCESS, **fields):
        if isinstance(value, BaseException):
            fields.setdefault("traceback", format_traceback(value))
            value = describe(value)
        done = datetime.now(UTC).isoformat() if status in states.READY_STATES else None
        app.backend.store(
            ResultRecord(task_id=task_id, status=status, result=value, date_done=done, **fields)
        )

    return store


def test_a_task_that_waits_is_pending(task):
    result = task.delay()

    assert (result.state, result.status) == ("PENDING", "PENDING")
    assert not result.ready()
    assert not result.successful()
    assert not result.failed()
    assert not result.exists()
    assert result.result is None
    assert result.info is None
    assert result.traceback is None
    assert result.date_done is None
    assert result.children is None


def test_the_value_of_a_task_that_succeeded(app, finish):
    finish("id", {"sum": 5}, children=[[["child", None], None]])
    result = app.AsyncResult("id")

    assert result.get(timeout=1) == {"sum": 5}
    assert result.ready()
    assert result.successful()
    assert result.exists()
    assert result.date_done.tzinfo is not None
    assert [(child.id, child.app) for child in result.children] == [("child", app)]


def test_waiting_ends_when_the_result_comes(app, finish):
    result = app.AsyncResult("id")
    timer = threading.Timer(0.05, finish, ["id", 5])
    timer.start()

    assert result.get(timeout=5) == 5
    timer.join()


def test_the_error_of_a_task_is_raised_with_the_traceback_of_the_worker(app, finish):
    try:
        raise ValueError("no", 7)
    except ValueError as error:
        finish("id", error, states.FAILURE)
    result = app.AsyncResult("id")

    with pytest.raises(ValueError, match="no") as raised:
        result.get(timeout=1)
    assert raised.value.args == ("no", 7)
    [note] = raised.value.__notes__
    assert "In the worker:" in note
    assert "test_async_result.py" in note
    assert result.failed()
    assert "ValueError" in result.traceback
    assert repr(result.get(timeout=1, propagate=False)) == "ValueError('no', 7)"


def test_errors_can_be_raised_later(app, finish):
    finish("failed", KeyError("no"), states.FAILURE)
    finish("done", 5)

    with pytest.raises(KeyError):
        app.AsyncResult("failed").maybe_throw()
    with pytest.raises(KeyError):
        app.AsyncResult("failed").throw()
    assert isinstance(app.AsyncResult("failed").maybe_throw(propagate=False), KeyError)
    assert app.AsyncResult("done").maybe_throw() == 5
    with pytest.raises(RuntimeError, match="task done has no error to raise: it is SUCCESS"):
        app.AsyncResult("done").throw()


def test_a_state_of_ones_own_has_its_meta(app, finish):
    finish("id", {"done": 3}, "PROGRESS")
    result = app.AsyncResult("id")

    assert (result.state, result.info) == ("PROGRESS", {"done": 3})
    finish("id", {"done": 4}, "PROGRESS")
    assert result.info == {"done": 4}


def test_a_retry_shows_what_it_is_for(app, finish):
    finish("id", OSError("away"), states.RETRY)

    assert isinstance(app.AsyncResult("id").result, OSError)


def test_a_final_record_is_not_asked_for_again(app, finish, monkeypatch):
    finish("id", 5)
    result = app.AsyncResult("id")
    result.get(timeout=1)
    monkeypatch.setattr(type(app.backend), "load", None)

    assert (result.state, result.get(timeout=1)) == ("SUCCESS", 5)


def test_too_long_a_wait_names_task_state_and_seconds(task, finish):
    result = task.delay()
    finish(result.id, {}, states.STARTED)

    with pytest.raises(TimeoutError) as raised:
        result.get(timeout=0.05)

    assert str(raised.value) == (
        f"The result of task proj.work[{result.id}] was not there after 0.05 seconds; its state is STARTED"
    )
    assert isinstance(raised.value, result.TimeoutError)


def test_what_is_extended_is_there_where_it_is_kept(app, finish):
    finish(
        "id", 5, name="proj.work", args=[1], kwargs={"x": 2}, worker="celery@a", retries=1,
        queue="slow", extended=True,
    )  # fmt: skip
    result = app.AsyncResult("id")

    assert (result.name, result.args, result.kwargs) == ("proj.work", [1], {"x": 2})
    assert (result.worker, result.retries, result.queue) == ("celery@a", 1, "slow")


def test_a_result_is_forgotten(app, finish):
    finish("id", 5)
    result = app.AsyncResult("id")
    result.get(timeout=1)

    result.forget()

    assert not result.exists()
    assert result.state == "PENDING"


def test_callbacks_see_value_and_message(app, finish):
    finish("id", 5)
    seen = []

    app.AsyncResult("id").get(
        timeout=1,
        callback=lambda task_id, value: seen.append((task_id, value)),
        on_message=lambda message: seen.append(message["status"]),
    )

    assert seen == ["SUCCESS", ("id", 5)]


def test_somebody_may_be_called_while_waiting(app, finish):
    beats = []

    def beat():
        beats.append(1)
        if len(beats) == 3:
            finish("id", 5)

    assert app.AsyncResult("id").get(timeout=5, interval=0.01, on_interval=beat) == 5
    assert len(beats) == 3


def test_the_error_of_a_parent_is_raised_first(app, finish):
    finish("parent", ValueError("no"), states.FAILURE)
    result = AsyncResult("child", app=app, parent=app.AsyncResult("parent"))

    with pytest.raises(ValueError, match="no"):
        result.get(timeout=1)
    with pytest.raises(TimeoutError):
        result.get(timeout=0.01, follow_parents=False)


# Unknown ------------------------------------------------------------------------------------------


def test_four_ways_of_having_no_value_have_four_answers(app, task, finish):
    never_sent = app.AsyncResult("mistyped")
    waiting = task.delay()
    expired = app.AsyncResult("late")
    finish("late", TaskRevokedError("expired"), states.REVOKED)
    purged = task.apply_async(queue="old")
    app.purge("old")

    with pytest.raises(ResultNotFound, match="Nobody knows task mistyped"):
        never_sent.get(timeout=5, unknown="raise")
    with pytest.raises(TimeoutError, match="its state is PENDING"):
        waiting.get(timeout=0.1, unknown="raise")
    with pytest.raises(TaskRevokedError, match="expired"):
        expired.get(timeout=5, unknown="raise")
    with pytest.raises(TaskRevokedError, match="purged"):
        purged.get(timeout=5, unknown="raise")


def test_a_waiting_task_is_known_for_as_long_as_it_waits(app, task, finish):
    result = task.apply_async(countdown=60)
    timer = threading.Timer(1.5, finish, [result.id, 5])
    timer.start()

    assert result.get(timeout=10, unknown="raise") == 5
    timer.join()


def test_an_unknown_task_is_not_waited_for_for_ever(app):
    began = time.monotonic()

    with pytest.raises(ResultNotFound):
        app.AsyncResult("mistyped").get(unknown="raise")

    assert time.monotonic() - began < 3


def test_where_a_task_is(app, task):
    waiting, delayed = task.delay(), task.apply_async(countdown=60)

    assert (waiting.locate().where, waiting.locate().queue) == ("ready", "celery")
    assert delayed.locate().where == "delayed"
    assert app.AsyncResult("mistyped").locate() is None


def test_an_ignored_result_is_none_at_once(task):
    assert task.apply_async(ignore_result=True).get() is None


# In tasks -----------------------------------------------------------------------------------------


def test_waiting_inside_a_task_is_refused_with_the_reason(app, task, finish):
    finish("id", 5)

    with task.requested(Context(id="outer", called_directly=False)):
        with pytest.raises(RuntimeError, match="Never wait for a result inside a task"):
            app.AsyncResult("id").get()
        assert app.AsyncResult("id").get(disable_sync_subtasks=False) == 5
        with allow_join_result():
            assert app.AsyncResult("id").get() == 5


def test_waiting_inside_a_task_called_like_a_function_is_allowed(app, finish):
    finish("id", 5)

    @app.task
    def work():
        return app.AsyncResult("id").get(timeout=1)

    assert work() == 5
    with pytest.raises(RuntimeError):
        work.apply(throw=True)


def test_waiting_may_be_forbidden_anywhere():
    with denied_join_result(), pytest.raises(RuntimeError):
        assert_will_not_block()
    assert_will_not_block()


# The object ---------------------------------------------------------------------------------------


def test_without_a_backend_the_setting_is_named():
    app = Umbel("proj", broker="memory://", backend="disabled")

    with pytest.raises(ImproperlyConfigured, match="set result_backend to a URL"):
        app.AsyncResult("id").get()


def test_another_backend_may_be_asked(app, finish):
    finish("id", 5)
    elsewhere = Umbel("other", broker="memory://", backend="disabled")

    assert AsyncResult("id", app.backend, app=elsewhere).get(timeout=1) == 5


def test_a_result_is_its_id(app):
    result = AsyncResult("id")

    assert result.app is app
    assert (result.id, result.task_id, str(result)) == ("id", "id", "id")
    assert repr(result) == "<AsyncResult: id>"
    assert result == AsyncResult("id")
    assert result == "id"
    assert result != AsyncResult("other")
    assert result != 7
    assert len({result, AsyncResult("id")}) == 1
    assert result.as_tuple() == (("id", None), None)
    assert AsyncResult("child", parent=result).as_tuple() == (("child", (("id", None), None)), None)
    assert pickle.loads(pickle.dumps(result)) == result


def test_a_result_needs_an_id():
    with pytest.raises(ValueError, match="needs the id of a task"):
        AsyncResult("")


def test_nothing_stays_behind_of_results_that_nobody_asked_for(app, task):
    results = [task.delay() for _ in range(100)]

    assert all(set(vars(result)) == {"id", "app", "task_name", "parent"} for result in results)


@pytest.mark.parametrize("wrong", [5, b"id", object()])
def test_an_id_is_a_string(app, wrong):
    with pytest.raises(TypeError, match="the id of a task, which is a string, not"):
        app.AsyncResult(wrong)


@pytest.mark.parametrize("wrong", ["x", float("nan"), [1]])
def test_a_timeout_that_is_no_number_is_named(app, wrong):
    with pytest.raises(TypeError, match=r"get\(\): timeout is a number of seconds or None, not"):
        app.AsyncResult("id").get(timeout=wrong)
