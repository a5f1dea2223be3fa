"""The steps of a job in the order in which a process takes them, without a loop around them."""

from __future__ import annotations

import time

import pytest

from umbel import states
from umbel.app.deployment import worker_values
from umbel.brokers.base import Verdict
from umbel.events.emitter import Emitter
from umbel.exceptions import EncodeError
from umbel.worker.board import Board
from umbel.worker.execution import Pipeline
from umbel.worker.line import Line
from umbel.worker.middleware.acknowledgement import EarlyAcknowledgement
from umbel.worker.middleware.time_limit import HardTimeLimit
from umbel.worker.options import WorkerOptions
from umbel.worker.process import WorkerProcess
from umbel.worker.reception import Reception


@pytest.fixture
def place():
    return Board(1).places[0]


@pytest.fixture
def slot(place):
    return place.slots[0]


@pytest.fixture
def lend(app, slot):
    """``lend(task, *args)`` sends a call of ``task``, and takes it as a job."""
    consumer = app.broker.consume(["celery"], "node/1/test")

    def take(task, *args):
        task.delay(*args)
        [delivery] = consumer.exchange([], 1).deliveries
        job = Reception(app.tasks, Emitter()).look_at(delivery)
        job.slot = slot
        return job

    yield take
    consumer.close()


@pytest.fixture
def execute(app, place, lend):
    """What a process of a worker makes of a call: its settlement."""

    def run(task, *args):
        options = WorkerOptions(**worker_values(app, pool="solo"))
        process = WorkerProcess(options, Line(place), Emitter())
        return process.pool.pipeline.execute(lend(task, *args))

    return run


def noisy(app):
    """A task class whose handlers write down what they were told."""
    told = []

    class Noisy(app.Task):
        def on_success(self, retval, task_id, args, kwargs):
            told.append(("on_success", type(retval)))

        def on_failure(self, exc, task_id, args, kwargs, einfo):
            told.append(("on_failure", type(exc)))

        def after_return(self, status, retval, task_id, args, kwargs, einfo):
            told.append((status, type(retval)))

    return Noisy, told


def test_handlers_are_told_of_the_failure_of_a_result_that_cannot_be_kept(app, execute):
    base, told = noisy(app)

    @app.task(base=base)
    def unserializable():
        return object()

    settlement = execute(unserializable)

    assert told == [("on_failure", EncodeError), (states.FAILURE, EncodeError)]
    assert settlement.verdict is Verdict.REJECT
    assert settlement.record.status == states.FAILURE


def test_handlers_are_told_of_the_success_of_one_that_nobody_keeps(app, execute):
    base, told = noisy(app)

    @app.task(base=base, ignore_result=True)
    def unserializable():
        return object()

    assert execute(unserializable).verdict is Verdict.ACK
    assert told == [("on_success", object), (states.SUCCESS, object)]


def test_a_retry_that_was_caught_is_sent_also_when_the_result_cannot_be_kept(app, execute):
    @app.task(bind=True)
    def again(self):
        try:
            self.retry(countdown=0)
        except Exception:
            return object()

    settlement = execute(again)

    assert settlement.record.status == states.FAILURE
    [following] = settlement.publish
    assert following.headers["retries"] == 1


def test_waiting_for_an_early_acknowledgement_does_not_count_for_the_hard_limit(app, slot, lend):
    @app.task(acks_late=False, time_limit=5.0)
    def early():
        return slot.hard_limit

    during = []

    def acknowledge(_delivery):
        time.sleep(0.05)
        during.append(slot.hard_limit)
        return True

    chain = [HardTimeLimit(None), EarlyAcknowledgement(acknowledge)]
    job = lend(early)
    pipeline = Pipeline(chain, "node", frozenset({"application/json"}))
    assert pipeline.execute(job).verdict is Verdict.ACK

    moment, seconds = slot.hard_limit
    assert during == [(0.0, 0.0)]
    assert seconds == 5.0
    assert moment >= job.began + 5.05


def test_without_a_limit_an_early_acknowledgement_sets_none(app, slot, lend):
    @app.task(acks_late=False)
    def early():
        return None

    chain = [HardTimeLimit(None), EarlyAcknowledgement(lambda _delivery: True)]
    Pipeline(chain, "node", frozenset({"application/json"})).execute(lend(early))

    assert slot.hard_limit == (0.0, 0.0)
