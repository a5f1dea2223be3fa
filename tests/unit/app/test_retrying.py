from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from umbel import Task
from umbel.app.context import Context
from umbel.app.retrying import next_retry_delay, retry_automatically, should_autoretry
from umbel.exceptions import (
    Ignore,
    MaxRetriesExceededError,
    OperationalError,
    Reject,
    Retry,
    SoftTimeLimitExceeded,
)
from umbel.message.message import DELIVERIES
from umbel.message.protocol import decode_body

JSON = ("application/json",)


@pytest.fixture
def running(app, sent):
    """Send a call, take its message, and return what a worker would run it with."""

    def run(task, args=(), kwargs=None, **options):
        Task.apply_async(task, args, kwargs, **options)
        [message] = sent(app, options.get("queue") or task.queue or "celery")
        decoded = decode_body(message, JSON)
        return task.requested(Context.from_message(message, decoded[0], decoded[1]))

    return run


@pytest.fixture
def task(app):
    return app.task(lambda x, y=0: x, name="proj.work", max_retries=3, default_retry_delay=60)


def test_retry_raises_with_the_message_of_the_next_run(task, running, app, sent):
    call = running(task, (1,), {"y": 2}, task_id="id", headers={"tenant": "blue"})

    with call as request, pytest.raises(Retry) as raised:
        task.retry(exc=ValueError("no"), countdown=30)

    message = raised.value.next_message
    assert request.next_message is message
    assert message.id == "id"
    assert message.retries == 1
    assert message.due == pytest.approx(time.time() + 30, abs=1)
    assert message.headers["tenant"] == "blue"
    assert decode_body(message, JSON)[:2] == ([1], {"y": 2})
    assert (raised.value.when, str(raised.value)) == (30, "Retry in 30s: ValueError('no')")
    assert sent(app) == []


def test_without_a_delay_the_tasks_own_counts(task, running):
    with running(task, (1,)), pytest.raises(Retry) as raised:
        task.retry()

    assert raised.value.when == 60
    assert raised.value.next_message.due == pytest.approx(time.time() + 60, abs=1)


def test_an_eta_may_be_given_instead(task, running):
    moment = datetime.now(UTC) + timedelta(hours=1)

    with running(task, (1,)), pytest.raises(Retry) as raised:
        task.retry(eta=moment)

    assert raised.value.when == moment
    assert raised.value.next_message.due == moment.timestamp()


def test_the_next_run_may_differ(task, running):
    task.app.conf.accept_content = ["json", "yaml"]
    with running(task, (1,), queue="fast", priority=2), pytest.raises(Retry) as raised:
        task.retry(
            args=(5,),
            kwargs={"y": 6},
            countdown=0,
            queue="slow",
            priority=8,
            time_limit=9,
            expires=60,
            headers={"again": True},
            ignore_result=True,
            serializer="yaml",
        )

    message = raised.value.next_message
    assert decode_body(message, ("application/x-yaml",))[:2] == ([5], {"y": 6})
    assert (message.queue, message.priority, message.due) == ("slow", 8, None)
    assert message.headers["timelimit"] == [9, None]
    assert message.headers["expires"] > datetime.now(UTC).isoformat()
    assert message.headers["again"] is True
    assert message.headers["ignore_result"] is True
    assert message.headers["argsrepr"] == "(5,)"


def test_otherwise_it_goes_where_it_came_from(task, running):
    with running(task, (1,), queue="fast", priority=2), pytest.raises(Retry) as raised:
        task.retry()

    assert (raised.value.next_message.queue, raised.value.next_message.priority) == ("fast", 2)


def test_arguments_that_the_run_changed_travel_changed(task, running):
    with running(task, ([1, 2, 3],)) as request, pytest.raises(Retry) as raised:
        request.args[0].pop()
        task.retry()

    assert decode_body(raised.value.next_message, JSON)[0] == [[1, 2]]


def test_a_representation_that_hides_something_stays(task, running):
    with running(task, (1,), argsrepr="(***)"), pytest.raises(Retry) as raised:
        task.retry(args=(2,))

    assert raised.value.next_message.headers["argsrepr"] == "(***)"


def test_a_retry_starts_with_no_lost_deliveries(task, running):
    with running(task, (1,)) as request, pytest.raises(Retry) as raised:
        request.message.headers.update({DELIVERIES: 2, "redelivered": True})
        task.retry()

    assert raised.value.next_message.deliveries == 0
    assert raised.value.next_message.headers["redelivered"] is False


def test_after_too_many_retries_the_cause_is_raised(task, running):
    with running(task, (1,), retries=3), pytest.raises(ValueError, match="no") as raised:
        try:
            raise KeyError("handled")
        except KeyError:
            task.retry(exc=ValueError("no"))

    assert isinstance(raised.value.__cause__, KeyError)


def test_after_too_many_retries_without_a_cause_that_is_said(task, running):
    with (
        running(task, (1,), retries=3, task_id="id"),
        pytest.raises(MaxRetriesExceededError) as raised,
    ):
        task.retry()

    assert str(raised.value) == "Can't retry proj.work[id] args:[1] kwargs:{}"
    assert raised.value.task_args == [1]
    assert isinstance(raised.value, task.MaxRetriesExceededError)


def test_what_the_sender_hides_stays_hidden_after_too_many_retries(task, running):
    with (
        running(task, ("secret",), {"y": "secret"}, retries=3, argsrepr="(…)", kwargsrepr="{…}"),
        pytest.raises(MaxRetriesExceededError, match=r"args:\(…\) kwargs:\{…\}") as raised,
    ):
        task.retry()

    assert raised.value.task_args == ["secret"]


def test_the_call_may_allow_more_or_fewer_retries(task, running):
    with running(task, (1,), retries=3), pytest.raises(Retry):
        task.retry(max_retries=4)
    with running(task, (1,), retries=1), pytest.raises(MaxRetriesExceededError):
        task.retry(max_retries=1)


def test_a_task_may_be_retried_for_ever(app, running):
    task = app.task(lambda: None, name="x", max_retries=None)

    with running(task, retries=1000), pytest.raises(Retry):
        task.retry()


def test_called_directly_the_cause_is_raised_instead(task):
    with pytest.raises(ValueError, match="no"):
        task.retry(exc=ValueError("no"))
    with pytest.raises(Retry, match="Task can be retried"):
        task.retry()


def test_the_error_being_handled_is_raised_as_it_is(task):
    with pytest.raises(ValueError, match="no") as raised:
        try:
            raise ValueError("no")
        except ValueError as error:
            task.retry(exc=error)

    assert raised.value.__cause__ is None


def test_retry_may_return_instead_and_sends_at_once(task, running, app, sent):
    with running(task, (1,)):
        retry = task.retry(throw=False, countdown=0)

    assert isinstance(retry, Retry)
    assert retry.next_message is None
    assert [message.retries for message in sent(app)] == [1]


def test_an_overridden_apply_async_sends_the_next_run(app, running, sent):
    class Tenant(Task):
        def apply_async(self, args=None, kwargs=None, **options):
            headers = {**options.pop("headers", {}), "tenant": "blue"}
            return super().apply_async(args, kwargs, headers=headers, **options)

    task = app.task(lambda x: x, name="x", base=Tenant, queue="own")

    call = running(task, (1,), task_id="id", root_id="root", headers={"mine": 1})

    with call, pytest.raises(Retry) as raised:
        task.retry(countdown=0)

    [message] = sent(app, "own")
    assert raised.value.next_message is None
    assert (message.id, message.retries) == ("id", 1)
    assert message.headers["tenant"] == "blue"
    assert message.headers["mine"] == 1
    assert message.headers["root_id"] == "root"


def test_where_such_a_retry_cannot_be_sent_the_message_goes_back(app, running):
    class Broken(Task):
        def apply_async(self, *args, **options):
            raise OperationalError("the broker is away")

    task = app.task(lambda: None, name="x", base=Broken)

    with running(task), pytest.raises(Reject) as raised:
        task.retry()

    assert raised.value.requeue


def test_outside_of_a_worker_a_pretended_request_is_sent_again(task, app):
    task.push_request(id="id", called_directly=False, args=(7,), retries=1)
    try:
        with pytest.raises(Retry):
            task.retry(countdown=60)
    finally:
        task.pop_request()

    [message] = app.broker.admin.delayed()
    assert (message.id, message.retries) == ("id", 2)


# By itself ----------------------------------------------------------------------------------------


@pytest.fixture
def automatic(app):
    def make(**options):
        return app.task(lambda: None, name="automatic", **options)

    return make


def test_the_wanted_errors_are_retried(automatic, running):
    task = automatic(autoretry_for=(OSError,), retry_kwargs={"countdown": 5, "max_retries": 1})

    with running(task):
        outcome = retry_automatically(task, ConnectionError("away"))

    assert isinstance(outcome, Retry)
    assert outcome.when == 5
    assert outcome.next_message.retries == 1


def test_other_errors_are_the_outcome(automatic, running):
    task = automatic(autoretry_for=(OSError,))
    error = ValueError("no")

    with running(task):
        assert retry_automatically(task, error) is error


def test_when_it_was_enough_the_error_is_the_outcome_with_its_own_traceback(automatic, running):
    task = automatic(autoretry_for=(OSError,), retry_kwargs={"max_retries": 0})
    try:
        raise ConnectionError("away")
    except ConnectionError as error:
        caught, origin = error, error.__traceback__

    with running(task):
        assert retry_automatically(task, caught) is caught

    assert caught.__traceback__ is origin


@pytest.mark.parametrize(
    ("options", "error", "wanted"),
    [
        ({"autoretry_for": Exception}, ValueError(), True),
        ({"autoretry_for": [ValueError]}, ValueError(), True),
        ({"autoretry_for": (Exception,), "dont_autoretry_for": (ValueError,)}, ValueError(), False),
        ({"autoretry_for": (Exception,)}, Ignore(), False),
        ({"autoretry_for": (Exception,)}, Reject(), False),
        ({"autoretry_for": (Exception,)}, Retry(), False),
        ({"autoretry_for": (Exception,)}, SoftTimeLimitExceeded(1), True),
        ({"autoretry_for": (Exception,)}, SystemExit(), False),
        ({}, ValueError(), False),
    ],
)
def test_which_errors_are_wanted(automatic, options, error, wanted):
    assert should_autoretry(automatic(**options), error) is wanted


def test_an_overridden_retry_is_called_for_automatic_retries_too(app, running):
    class Elsewhere(Task):
        def retry(self, *args, **options):
            return super().retry(*args, **{**options, "queue": "retries"})

    task = app.task(lambda: None, name="x", base=Elsewhere, autoretry_for=(OSError,))

    with running(task):
        outcome = retry_automatically(task, OSError())

    assert outcome.next_message.queue == "retries"


def test_a_limit_given_by_hand_holds_for_automatic_retries_of_the_same_run(automatic, running):
    task = automatic(autoretry_for=(ValueError,), max_retries=10)
    error = ValueError("no")

    with running(task, retries=2):
        with pytest.raises(ValueError, match="no"):
            task.retry(exc=error, max_retries=2)
        assert retry_automatically(task, error) is error


def test_the_delay_doubles_up_to_a_maximum(automatic):
    task = automatic(retry_backoff=True, retry_jitter=False, retry_backoff_max=20)

    assert [next_retry_delay(task, retries) for retries in range(7)] == [1, 2, 4, 8, 16, 20, 20]
    assert next_retry_delay(task, 10**9) == 20


def test_a_number_is_the_first_delay(automatic):
    task = automatic(retry_backoff=5, retry_jitter=False)

    assert [next_retry_delay(task, retries) for retries in range(3)] == [5, 10, 20]


def test_jitter_takes_any_part_of_the_delay(automatic):
    task = automatic(retry_backoff=4, retry_jitter=True)

    found = Counter(next_retry_delay(task, 0) for _ in range(2000))

    assert set(found) == {0, 1, 2, 3, 4}
    assert min(found.values()) > 200


def test_without_backoff_the_delay_is_that_of_the_task(automatic):
    assert next_retry_delay(automatic(default_retry_delay=7), 3) == 7
    assert next_retry_delay(automatic(retry_kwargs={"countdown": 2}), 3) == 2


@pytest.mark.parametrize(
    ("first", "changes", "then"),
    [
        (((1,), {"y": 2}), {"args": (3,)}, ([3], {"y": 2})),
        (((1,), {"y": 2}), {"args": (3, 4)}, ([3, 4], {})),
        (((), {"x": 1, "y": 2}), {"args": (3,)}, ([3], {"y": 2})),
        (((1, 2), {}), {"kwargs": {"y": 5}}, ([1, 5], {})),
        (((1,), {}), {"kwargs": {"y": 5}}, ([1], {"y": 5})),
        (((1, 2), {}), {"args": (), "kwargs": {"x": 7}}, ([], {"x": 7})),
    ],
)
def test_arguments_that_are_given_anew_do_not_collide_with_the_old_ones(
    task, running, first, changes, then
):
    with running(task, *first), pytest.raises(Retry) as raised:
        task.retry(**changes)

    assert decode_body(raised.value.next_message, JSON)[:2] == then


def test_a_retry_carries_the_signature_of_the_next_run(task, running):
    with running(task, (1,), {"y": 2}, queue="slow", task_id="id"), pytest.raises(Retry) as raised:
        task.retry(countdown=30, priority=4)

    signature = raised.value.sig
    assert (signature.task, signature.args, signature.kwargs) == (task.name, (1,), {"y": 2})
    expected = {"task_id": "id", "queue": "slow", "countdown": 30, "priority": 4, "retries": 1}
    assert signature.options.items() >= expected.items()


def test_an_overridden_signature_from_request_decides_the_next_run(app, running, sent):
    class Elsewhere(Task):
        def signature_from_request(self, request=None, args=None, kwargs=None, **options):
            return (
                super().signature_from_request(request, args, kwargs, **options).set(queue="other")
            )

    moved = app.task(lambda: None, base=Elsewhere, name="moved")
    with running(moved, task_id="id"), pytest.raises(Retry):
        moved.retry(countdown=0)

    [message] = sent(app, "other")
    assert (message.id, message.retries) == ("id", 1)


def test_the_cause_of_a_retry_may_be_given_as_text():
    made = Retry(exc="out of order", when=5)

    assert (made.exc, made.excs) == (None, "out of order")
    assert str(made) == "Retry in 5s: out of order"
    assert str(Retry("later", ValueError())) == "later"
