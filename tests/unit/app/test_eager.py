from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace

import pytest

from umbel import Task, Umbel
from umbel.exceptions import (
    EncodeError,
    Ignore,
    MaxRetriesExceededError,
    Reject,
    Retry,
    UnknownOption,
)
from umbel.result import EagerResult


@pytest.fixture
def eager(app):
    app.conf.task_always_eager = True
    return app


class Heard(Task):
    """Writes down which handlers are called with what."""

    heard: list

    def __init__(self):
        self.heard = []

    def before_start(self, task_id, args, kwargs):
        self.heard.append(("before", args, kwargs))

    def on_success(self, retval, task_id, args, kwargs):
        self.heard.append(("success", retval))

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        self.heard.append(("retry", type(exc).__name__))

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        self.heard.append(("failure", type(exc).__name__, "Traceback" in str(einfo)))

    def after_return(self, status, retval, *rest):
        self.heard.append(("after", status, rest[-1] is None))


def test_apply_runs_the_task_here(app):
    @app.task
    def add(x, y):
        return x + y

    result = add.apply((2,), {"y": 3}, task_id="my-id")

    assert isinstance(result, EagerResult)
    assert (result.id, result.state, result.get(), result.name) == ("my-id", "SUCCESS", 5, add.name)


def test_it_sees_a_request_as_in_a_worker(app):
    @app.task(bind=True)
    def itself(self, x):
        request = self.request
        return [
            request.is_eager,
            request.called_directly,
            request.retries,
            request.args,
            request.tenant,
            request.headers,
            request.delivery_info["is_eager"],
            request.root_id == request.id,
        ]

    found = itself.apply((1,), headers={"tenant": "blue"}, retries=2).get()

    assert found == [True, False, 2, [1], "blue", {"tenant": "blue"}, True, True]


def test_arguments_pass_through_the_serializer(app):
    kind = app.task(lambda x: type(x).__name__, name="kind")

    assert kind.apply(((1, 2),)).get() == "list"
    with pytest.raises(EncodeError, match=r"args\[0\]"):
        kind.apply((object(),))


def test_a_lenient_app_hands_arguments_to_apply_as_they_are_and_checks_those_of_delay(celery):
    kind = celery.task(lambda x: type(x).__name__, name="kind")

    assert kind.apply((object(),)).get() == "object"
    celery.conf.task_always_eager = True
    with pytest.raises(EncodeError):
        kind.delay(object())


def test_always_eager_runs_instead_of_sending(eager):
    seen = []
    task = eager.task(lambda x: seen.append(x), name="x")

    result = task.delay(1)

    assert isinstance(result, EagerResult)
    assert seen == [1]


def test_it_is_switched_at_any_time_and_needs_no_broker():
    app = Umbel("proj", broker="redis://127.0.0.1:1/0", backend="disabled")
    task = app.task(lambda x: x, name="x")
    app.conf.task_always_eager = True

    assert task.delay(1).get() == 1
    assert task.apply_async((2,), countdown=60, queue="far", priority=3).get() == 2
    assert [result.get() for result in task.delay_many([(3,), (4,)])] == [3, 4]
    assert app.send_task("x", (5,)).get() == 5


def test_options_and_arguments_are_checked_as_when_sending(eager):
    task = eager.task(lambda x: x, name="x")

    with pytest.raises(TypeError):
        task.delay()
    with pytest.raises(UnknownOption):
        task.apply_async((1,), coutdown=1)


def test_an_overridden_apply_is_called(eager):
    class Own(Task):
        def apply(self, *args, **options):
            return "applied", options["task_id"]

    assert eager.task(lambda: None, name="x", base=Own).apply_async(task_id="i") == ("applied", "i")


def test_an_error_is_the_result_or_is_raised(app, caplog):
    @app.task
    def broken():
        raise ValueError("no")

    result = broken.apply()

    assert (result.state, repr(result.result)) == ("FAILURE", "ValueError('no')")
    assert "broken" in result.traceback
    with pytest.raises(ValueError, match="no"):
        result.get()
    with pytest.raises(ValueError, match="no"):
        broken.apply(throw=True)
    app.conf.task_eager_propagates = True
    with pytest.raises(ValueError, match="no"):
        broken.apply()
    assert broken.apply(throw=False).failed()
    assert "raised ValueError('no')" in caplog.text


def test_an_expected_error_is_not_logged(app, caplog):
    @app.task(throws=(KeyError,))
    def broken():
        raise KeyError("no")

    with caplog.at_level(logging.ERROR):
        assert broken.apply().failed()

    assert caplog.text == ""


def test_retries_run_here_and_now(app):
    @app.task(bind=True, base=Heard, max_retries=3)
    def flaky(self, x):
        if self.request.retries < 2:
            raise self.retry(exc=KeyError(x), countdown=3600)
        return self.request.retries, x

    assert flaky.apply((7,)).get() == (2, 7)
    assert [entry[0] for entry in flaky.heard] == [
        "before", "retry", "before", "retry", "before", "success", "after",
    ]  # fmt: skip
    assert flaky.heard[1] == ("retry", "KeyError")


def test_the_next_run_may_have_other_arguments(app):
    @app.task(bind=True)
    def flaky(self, x):
        if x:
            raise self.retry(args=(x - 1,))
        return x

    assert flaky.apply((2,)).get() == 0


def test_automatic_retries_run_here_too(app):
    @app.task(bind=True, autoretry_for=(ValueError,), retry_backoff=True, max_retries=2)
    def flaky(self):
        raise ValueError(self.request.retries)

    assert flaky.apply().result.args == (2,)


def test_too_many_retries_are_a_failure(app):
    @app.task(bind=True, max_retries=1)
    def hopeless(self):
        raise self.retry()

    result = hopeless.apply()

    assert result.state == "FAILURE"
    assert isinstance(result.result, MaxRetriesExceededError)


def test_handlers_hear_of_success_and_failure(app):
    @app.task(base=Heard)
    def check(x):
        if not x:
            raise ValueError("no")
        return x

    check.apply((1,))
    check.apply((0,))

    assert check.heard == [
        ("before", [1], {}),
        ("success", 1),
        ("after", "SUCCESS", True),
        ("before", [0], {}),
        ("failure", "ValueError", True),
        ("after", "FAILURE", False),
    ]


def test_before_start_may_end_the_run(app):
    class Guarded(Task):
        def before_start(self, task_id, args, kwargs):
            raise self.retry(countdown=0) if not self.request.retries else Ignore

    assert app.task(lambda: None, name="x", base=Guarded).apply().state == "IGNORED"


@pytest.mark.parametrize(
    ("raised", "state"),
    [(Ignore(), "IGNORED"), (Reject("no"), "REJECTED"), (Retry("later"), "RETRY")],
)
def test_control_flow_ends_the_run_in_its_own_state(app, raised, state):
    @app.task
    def leave():
        raise raised

    result = leave.apply()

    assert (result.state, result.result) == (state, raised)
    assert result.get() is raised


def test_results_are_stored_where_that_is_wanted(app):
    @app.task(bind=True, store_eager_result=True)
    def stored(self, fail):
        self.update_state(state="PROGRESS", meta={"done": 1})
        if fail:
            raise ValueError("no")
        return 1

    done, failed = stored.apply((False,)), stored.apply((True,))

    assert app.AsyncResult(done.id).get(timeout=1) == 1
    with pytest.raises(ValueError, match="no"):
        app.AsyncResult(failed.id).get(timeout=1)


def test_otherwise_nothing_is_stored(app):
    @app.task(bind=True)
    def unstored(self):
        self.update_state(state="PROGRESS", meta={"done": 1})

    result = unstored.apply()
    app.conf.task_store_eager_result = True
    ignored = unstored.apply(ignore_result=True)

    assert not app.AsyncResult(result.id).exists()
    assert not app.AsyncResult(ignored.id).ready()


@pytest.fixture
def linked(app):
    """``told`` is what these were called with: a callback, and errbacks of all sorts."""
    told = []

    @app.task
    def after(value, more=None):
        told.append((value, more))

    @app.task
    def failed(task_id):
        told.append(task_id)

    @app.task
    def failed_how(request, exc, traceback):
        told.append((request.id, exc, traceback))

    @app.task
    async def failed_async(request, exc, traceback):
        told.append((request.id, type(exc)))

    return SimpleNamespace(
        told=told, after=after, failed=failed, failed_how=failed_how, failed_async=failed_async
    )


def test_callbacks_of_an_eager_call_run_with_its_result(app, linked):
    app.conf.task_always_eager = True

    @app.task
    def double(x):
        return 2 * x

    double.apply_async(
        (2,), link=[linked.after.s(), linked.after.s("more")], link_error=linked.failed.s()
    )

    assert linked.told == [(4, None), (4, "more")]


def test_apply_sends_callbacks_as_celery_does(app, linked, sent):
    app.task(lambda: 4, name="four").apply(link=linked.after.s())

    [message] = sent(app)
    assert message.task == linked.after.name
    assert linked.told == []


def test_errbacks_of_an_eager_call_run_in_either_form(app, linked):
    error = ValueError("no")

    @app.task
    def fail():
        raise error

    errbacks = [linked.failed, linked.failed_how, linked.failed_async]
    result = fail.apply(link_error=[errback.s() for errback in errbacks], link=linked.after.s())

    assert linked.told[0] == result.id
    assert linked.told[1][:2] == (result.id, error)
    assert "raise error" in linked.told[1][2]
    assert linked.told[2] == (result.id, ValueError)


def test_what_a_link_raises_does_not_change_how_the_task_ended(app, linked, caplog):
    @app.task
    def broken(request, exc, traceback):
        raise SystemExit(1)

    @app.task
    def fail():
        raise ValueError

    result = fail.apply(link_error=[broken.s(), linked.failed.s()])

    assert linked.told == [result.id]
    assert result.state == "FAILURE"
    assert "Errback" in caplog.text


def test_a_task_that_an_eager_one_runs_is_its_child(app):
    seen = []

    @app.task(bind=True)
    def inner(self):
        seen.append((self.request.parent_id, self.request.root_id))

    @app.task(bind=True)
    def outer(self):
        inner.apply()
        return self.request.id

    result = outer.apply()

    assert seen == [(result.id, result.id)]


def test_a_generator_is_no_result(app):
    @app.task(autoretry_for=(Exception,))
    def several():
        yield 1

    result = several.apply()

    assert result.state == "FAILURE"
    with pytest.raises(EncodeError, match=r"returned a generator .*several.*return a list"):
        result.get()


def test_coroutines_run_eagerly_in_and_outside_of_an_event_loop(app, linked):
    app.conf.task_always_eager = True

    @app.task(bind=True)
    async def fetch(self, number):
        await asyncio.sleep(0)
        if number < 0:
            raise ValueError(self.request.id)
        return number

    async def inside():
        result = await fetch.aapply_async((2,), link=linked.after.s("loop"))
        fetch.apply_async((-1,), link_error=linked.failed.s(), task_id="bad")
        return result

    assert fetch.delay(1).get() == 1
    assert asyncio.run(inside()).get() == 2
    assert linked.told == [(2, "loop"), "bad"]


def test_a_retry_of_an_eager_run_keeps_its_links(app, linked):
    app.conf.task_always_eager = True

    @app.task(bind=True)
    def second_time(self):
        if not self.request.retries:
            raise self.retry(countdown=0)
        return "done"

    second_time.apply_async(link=linked.after.s())

    assert linked.told == [("done", None)]


def test_a_retry_of_an_eager_run_may_change_its_links(app, linked):
    app.conf.task_always_eager = True

    @app.task(bind=True)
    def second_time(self):
        if not self.request.retries:
            self.request.errbacks = [linked.failed.s()]
            raise self.retry(countdown=0, link=linked.after.s("other"))
        raise ValueError("no")

    result = second_time.apply_async(link=linked.after.s())

    assert linked.told == [result.id]
