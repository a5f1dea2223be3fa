"""What follows a job that has ended: the messages in its settlement, and what is called in place."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from umbel import states
from umbel.app.deployment import worker_values
from umbel.brokers.base import Verdict
from umbel.events.emitter import Emitter
from umbel.exceptions import EncodeError, Ignore, Reject
from umbel.message.protocol import decode, decode_body
from umbel.testing.messages import message
from umbel.worker.board import Board
from umbel.worker.line import Line
from umbel.worker.options import WorkerOptions
from umbel.worker.process import WorkerProcess
from umbel.worker.reception import Reception

JSON = ("application/json",)


@pytest.fixture
def run(app):
    """What a process of a worker makes of the next message: its settlement."""
    place = Board(1).places[0]
    consumer = app.broker.consume(["celery"], "node/1/test")
    process = WorkerProcess(
        WorkerOptions(**worker_values(app, pool="solo")), Line(place), Emitter()
    )

    def take():
        [delivery] = consumer.exchange([], 1).deliveries
        job = Reception(app.tasks, Emitter()).look_at(delivery)
        job.slot = place.slots[0]
        return process.pool.pipeline.execute(job)

    yield take
    process.close()
    consumer.close()


@pytest.fixture
def tasks(app):
    """What to link, to what; ``told``: how those were called that are called in place."""

    told: list[Any] = []

    @app.task(name="double")
    def double(x):
        return 2 * x

    @app.task(name="fail")
    def fail(*_args):
        raise ValueError("no")

    @app.task(name="by_id")
    def by_id(task_id, extra=None):
        told.append(task_id)

    @app.task(name="how")
    def how(request, exc, traceback, extra=None):
        told.append((request, exc, traceback, extra))

    @app.task(name="any")
    def anything(*args):
        told.append(len(args))

    @app.task(name="bound_any", bind=True)
    def bound_any(self, *args):
        told.append(len(args))

    @app.task(name="bound_how", bind=True)
    def bound_how(self, request, exc, traceback):
        told.append((self.name, request.id))

    @app.task(name="waits")
    async def waits(request, exc, traceback):
        told.append((request.id, request.task, request.args, exc, traceback))

    @app.task(name="breaks")
    def breaks(request, exc, traceback):
        raise SystemExit(3)

    return SimpleNamespace(
        told=told,
        double=double,
        fail=fail,
        by_id=by_id,
        how=how,
        anything=anything,
        bound_any=bound_any,
        bound_how=bound_how,
        waits=waits,
        breaks=breaks,
    )


def follow(settlement):
    return [(one.task, decode_body(one, JSON)[0]) for one in settlement.publish]


def test_callbacks_travel_with_the_settlement(app, run, tasks):
    double = tasks.double
    result = double.apply_async(
        (2,), link=[double.s(), tasks.by_id.si("own"), double.s().set(queue="q")]
    )

    settlement = run()

    assert settlement.verdict is Verdict.ACK
    assert follow(settlement) == [("double", [4]), ("by_id", ["own"]), ("double", [4])]
    assert [one.queue for one in settlement.publish] == ["celery", "celery", "q"]
    for one in settlement.publish:
        assert one.headers["parent_id"] == one.headers["root_id"] == result.id
        assert decode(one.written).id == one.id
    children = [child[0][0] for child in settlement.record.children]
    assert children == [one.id for one in settlement.publish]


def test_callbacks_of_a_child_belong_to_its_workflow(app, run, tasks):
    tasks.double.apply_async((2,), link=tasks.double.s(), root_id="root", parent_id="parent")

    [following] = run().publish

    assert following.headers["root_id"] == "root"


def test_callbacks_of_callbacks_travel_along(app, run, tasks):
    tasks.double.apply_async((1,), link=tasks.double.s().set(link=tasks.double.s()))
    app.broker.publish(run().publish)
    app.broker.publish(run().publish)

    assert run().record.result == 8


def test_nothing_is_sent_for_what_has_not_ended(app, run, tasks):
    @app.task(bind=True, name="again")
    def again(self, error):
        raise {
            "retry": self.retry,
            "ignore": Ignore,
            "requeue": lambda: Reject("no", requeue=True),
        }[error]()

    links = {"link": tasks.double.s(), "link_error": tasks.by_id.s()}
    again.apply_async(("ignore",), **links)
    assert run().publish == ()
    again.apply_async(("requeue",), **links)
    assert run().publish == ()
    again.apply_async(("retry",), **links)
    [following] = run().publish

    embed = decode_body(following, JSON)[2]
    assert following.headers["retries"] == 1
    assert [link["task"] for link in embed["callbacks"]] == ["double"]
    assert [link["task"] for link in embed["errbacks"]] == ["by_id"]


def test_a_task_may_change_its_links_before_a_retry(app, run, tasks):
    @app.task(bind=True, name="again")
    def again(self):
        self.request.callbacks = [dict(tasks.by_id.si("other"))]
        self.retry(link_error=tasks.double.s())

    again.apply_async(link=tasks.double.s())
    [following] = run().publish

    embed = decode_body(following, JSON)[2]
    assert [link["task"] for link in embed["callbacks"]] == ["by_id"]
    assert [link["task"] for link in embed["errbacks"]] == ["double"]


def test_errbacks_by_id_are_sent(app, run, tasks):
    result = tasks.fail.apply_async(
        link_error=[tasks.by_id.s(), tasks.by_id.s("x"), tasks.bound_any.s()]
    )

    settlement = run()

    assert settlement.verdict is Verdict.REJECT
    assert settlement.record.status == states.FAILURE
    assert follow(settlement) == [
        ("by_id", [result.id]),
        ("by_id", [result.id, "x"]),
        ("bound_any", [result.id]),
    ]
    assert tasks.told == []


def test_errbacks_that_take_the_failure_are_called_in_place(app, run, tasks):
    errbacks = [tasks.how.s(), tasks.how.s("x"), tasks.anything.s(), tasks.bound_how.s()]
    result = tasks.fail.apply_async((1,), link_error=errbacks)

    assert run().publish == ()

    (request, error, traceback, extra), second, *others = tasks.told
    assert (request.id, request.task, request.args) == (result.id, "fail", [1])
    assert (type(error), str(error), extra) == (ValueError, "no", None)
    assert "raise ValueError" in traceback
    assert second[3] == "x"
    assert others == [3, ("bound_how", result.id)]


def test_an_immutable_errback_is_sent_with_its_own_arguments(app, run, tasks):
    tasks.fail.apply_async(link_error=tasks.how.si(1, 2, 3))

    assert follow(run()) == [("how", [1, 2, 3])]


def test_a_coroutine_that_takes_the_failure_is_sent_and_gets_it(app, run, tasks):
    result = tasks.fail.apply_async((1,), link_error=tasks.waits.s())

    settlement = run()
    assert follow(settlement) == [("waits", [result.id, None, None])]
    app.broker.publish(settlement.publish)
    assert run().record.status == states.SUCCESS

    [(task_id, name, args, error, traceback)] = tasks.told
    assert (task_id, name, args) == (result.id, "fail", [1])
    assert (type(error), str(error)) == (ValueError, "no")
    assert "raise ValueError" in traceback


def test_an_errback_that_is_not_known_here_is_sent_by_its_name(app, run, tasks):
    result = tasks.fail.apply_async(link_error=app.signature("elsewhere.errback"))

    assert follow(run()) == [("elsewhere.errback", [result.id])]


def test_a_task_that_refuses_its_message_for_good_has_failed(app, run, tasks):
    @app.task(name="refuse")
    def refuse():
        raise Reject("never")

    result = refuse.apply_async(link_error=tasks.by_id.s())

    assert follow(run()) == [("by_id", [result.id])]


def test_a_result_that_cannot_be_kept_calls_errbacks_not_callbacks(app, run, tasks):
    app.task(lambda: object(), name="odd").apply_async(
        link=tasks.double.s(), link_error=tasks.by_id.s()
    )

    assert [task for task, _ in follow(run())] == ["by_id"]


def test_links_that_cannot_be_called_are_reported_and_cost_nothing_else(app, run, tasks, caplog):
    links = [
        tasks.double.s().set(queu="x"),
        tasks.double.s().set(countdown="soon"),
        {"task": "celery.group", "subtask_type": "group", "kwargs": {"tasks": []}},
        tasks.double.s(),
    ]
    tasks.double.apply_async((1,), link=links)
    with caplog.at_level(logging.ERROR):
        settlement = run()

    assert settlement.record.result == 2
    assert [task for task, _ in follow(settlement)] == ["double"]
    assert "Callback double of task double" in caplog.text
    assert "Callback celery.group" in caplog.text

    tasks.fail.apply_async(link_error=[tasks.breaks.s(), tasks.by_id.s()])
    with caplog.at_level(logging.ERROR):
        settlement = run()
    assert [task for task, _ in follow(settlement)] == ["by_id"]
    assert "Errback breaks of task fail" in caplog.text


@pytest.mark.parametrize(
    "links", ["text", 5, [None, 5, "x", {}, {"task": 5}], {"task": []}, {"a": 1}]
)
def test_links_of_wrong_shape_do_no_harm(app, run, tasks, links):
    embed = {"callbacks": links, "errbacks": links, "chain": None, "chord": None}
    for task, args, status in (("double", [1], "SUCCESS"), ("fail", [], "FAILURE")):
        app.broker.publish([message(task, body=json.dumps([args, {}, embed]).encode())])

        settlement = run()
        assert settlement.record.status == status
        assert settlement.publish == ()


def test_a_generator_is_refused_and_not_tried_again(app, run):
    @app.task(name="several", autoretry_for=(Exception,), ignore_result=True)
    def several():
        yield 1

    @app.task(name="async_several")
    async def async_several():
        yield 1

    several.delay()
    settlement = run()
    assert settlement.verdict is Verdict.REJECT
    assert "the task returned a generator" in settlement.reason
    assert "return a list" in settlement.reason

    async_several.delay()
    settlement = run()
    assert "the task returned an async generator" in settlement.reason
    assert settlement.record.result["exc_type"] == EncodeError.__name__


def test_a_workflow_that_is_not_gone_on_with_is_reported(app, run, tasks, caplog):
    embed = {"callbacks": None, "errbacks": None, "chain": [tasks.double.s()], "chord": None}
    app.broker.publish([message("double", body=json.dumps([[1], {}, embed]).encode())])

    assert run().record.result == 2
    assert "double" in caplog.text
    assert "is part of a workflow" in caplog.text
