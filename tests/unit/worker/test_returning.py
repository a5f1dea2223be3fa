"""What tasks say about runs that did not end well, where the process that ran them is gone or lives."""

from __future__ import annotations

import pytest

from umbel import states
from umbel.app.deployment import worker_values
from umbel.brokers.base import Verdict
from umbel.events.emitter import Emitter
from umbel.exceptions import Reject, TimeLimitExceeded
from umbel.message.message import DELIVERIES
from umbel.message.protocol import decode_body
from umbel.testing.messages import message
from umbel.worker.board import Board
from umbel.worker.line import Line
from umbel.worker.options import WorkerOptions
from umbel.worker.process import WorkerProcess
from umbel.worker.reception import Reception
from umbel.worker.rescue import Cause, Death, Rescuer
from umbel.worker.returning import LastWills, returns

DEAD = "node/1/dead"


@pytest.fixture
def rescue(app):
    """``rescue(cause)``: how the supervisor settles what was lent to a process that died of it."""
    consumer = app.broker.consume(["celery"], DEAD)

    def settle(cause):
        told = []
        options = WorkerOptions(**worker_values(app))
        rescuer = Rescuer(
            app.broker,
            app.backend,
            max_deliveries=3,
            ttl=60.0,
            ended=lambda _delivery, settlement: told.append(settlement),
            wills=LastWills(options.tasks, options.accept, options.node),
        )
        [delivery] = consumer.exchange([], 1).deliveries
        rescuer.rescue(
            Death(
                consumer_id=consumer.id,
                cause=cause,
                begun=frozenset([delivery.loan]),
                overdue=delivery.loan,
                limit=5.0,
                detail="signal 9",
            )
        )
        [settlement] = told
        return settlement

    yield settle
    consumer.close()


@pytest.fixture
def run(app):
    """What a living process makes of the next message."""
    place = Board(1).places[0]
    consumer = app.broker.consume(["celery"], "node/1/lives")
    process = WorkerProcess(
        WorkerOptions(**worker_values(app, pool="solo")), Line(place), Emitter()
    )

    def execute():
        while not (found := consumer.exchange([], 1).deliveries):
            consumer.wait(5.0)
        [delivery] = found
        job = Reception(app.tasks, Emitter()).look_at(delivery)
        job.slot = place.slots[0]
        settlement = process.pool.pipeline.execute(job)
        consumer.exchange([settlement], 0)
        return settlement

    yield execute
    process.close()
    consumer.close()


def task(app, **options):
    def function(*_args):
        raise ValueError("no")

    return app.task(function, name="work", **options)


@pytest.mark.parametrize("said", [None, True])
def test_a_task_whose_process_died_runs_again_counted(app, rescue, said):
    task(app, reject_on_worker_lost=said).delay()

    settlement = rescue(Cause.CRASHED)

    assert (settlement.verdict, settlement.counted) == (Verdict.RELEASE, True)


def test_a_task_may_be_over_when_its_process_died(app, rescue):
    result = task(app, reject_on_worker_lost=False).apply_async(
        link_error=app.signature("elsewhere.errback")
    )

    settlement = rescue(Cause.CRASHED)

    assert settlement.verdict is Verdict.REJECT
    assert settlement.reason == "WorkerLostError: the worker process died (signal 9)"
    assert settlement.record.status == states.FAILURE
    [following] = settlement.publish
    assert following.task == "elsewhere.errback"
    assert decode_body(following, ("application/json",))[0] == [result.id]
    assert following.headers["parent_id"] == result.id


def test_whether_a_silent_process_had_begun_nobody_knows(app, rescue):
    task(app, reject_on_worker_lost=False, retry_on_worker_lost=True).delay()

    assert rescue(Cause.SILENT).verdict is Verdict.RELEASE


def test_the_death_of_a_process_may_count_as_a_retry(app, rescue):
    options = {"retry_on_worker_lost": True, "max_retries": 1, "default_retry_delay": 60}
    task(app, **options).apply_async(task_id="id")

    settlement = rescue(Cause.CRASHED)

    assert settlement.verdict is Verdict.ACK
    [following] = settlement.publish
    assert (following.id, following.headers["retries"]) == ("id", 1)
    assert following.due is not None
    assert settlement.record.status == states.RETRY


def test_after_enough_of_these_retries_the_task_has_failed(app, rescue):
    task(app, retry_on_worker_lost=True, max_retries=1).apply_async(retries=1)

    settlement = rescue(Cause.CRASHED)

    assert settlement.verdict is Verdict.REJECT
    assert settlement.record.status == states.FAILURE


def test_past_its_hard_limit_a_task_may_run_again_a_few_times(app, rescue):
    work = task(app, acks_on_timeout=False)
    work.delay()
    settlement = rescue(Cause.TIME_LIMIT)
    assert (settlement.verdict, settlement.counted) == (Verdict.RELEASE, True)


def test_past_its_hard_limit_for_the_last_time_a_task_has_failed(app, rescue):
    task(app, acks_on_timeout=False)
    app.broker.publish([message("work", headers={DELIVERIES: 2})])

    settlement = rescue(Cause.TIME_LIMIT)

    assert settlement.verdict is Verdict.REJECT
    assert settlement.reason.startswith("TimeLimitExceeded")


def test_an_errback_that_takes_the_failure_is_sent_by_the_supervisor_and_gets_it(app, rescue, run):
    told = []

    @app.task(name="how")
    def how(request, exc, traceback):
        told.append((request.id, request.args, type(exc), exc.args, traceback))

    result = task(app).apply_async((1,), link_error=how.s())
    rescue(Cause.TIME_LIMIT)
    run()

    assert told == [
        (result.id, [1], TimeLimitExceeded, (5.0,), "TimeLimitExceeded: TimeLimitExceeded(5.0,)")
    ]


@pytest.mark.parametrize(
    ("said", "on_failure", "on_timeout"),
    [
        ({}, False, False),
        ({"acks_on_failure_or_timeout": False}, True, True),
        ({"acks_on_failure": False}, True, False),
        ({"acks_on_timeout": False}, False, True),
        ({"acks_on_failure_or_timeout": False, "acks_on_timeout": True}, True, False),
    ],
)
def test_the_old_option_speaks_where_the_new_ones_do_not(app, said, on_failure, on_timeout):
    work = task(app, **said)

    assert returns(work, ValueError()) is on_failure
    assert returns(work, TimeLimitExceeded(1)) is on_timeout
    app.conf.task_acks_on_failure = False
    assert returns(work, ValueError()) is (said.get("acks_on_failure") is not True)


def test_a_failure_that_is_not_acknowledged_runs_again_until_it_has_been_enough(app, run):
    seen = []

    @app.task(acks_on_failure=False, bind=True, name="again")
    def again(self):
        seen.append(self.request.delivery_info["redelivered"])
        raise ValueError("no")

    again.apply_async(link_error=app.signature("errback"))
    for _ in range(2):
        settlement = run()
        assert (settlement.verdict, settlement.counted) == (Verdict.RELEASE, True)
        assert settlement.record.status == states.RETRY
        assert settlement.publish == ()
    settlement = run()

    assert seen == [False, True, True]
    assert settlement.verdict is Verdict.REJECT
    assert settlement.record.status == states.FAILURE
    assert [one.task for one in settlement.publish] == ["errback"]


def test_what_a_task_refuses_for_good_is_known_as_a_failure(app, run):
    @app.task(name="refuse")
    def refuse(again):
        raise Reject("never", requeue=again)

    refuse.delay(False)
    settlement = run()
    assert settlement.verdict is Verdict.REJECT
    assert settlement.record.status == states.FAILURE
    assert settlement.record.date_done is not None

    refuse.delay(True)
    assert run().record is None


def test_errbacks_of_a_task_that_the_rescuer_does_not_know_are_sent_all_the_same(app, rescue):
    task(app)
    result = app.send_task("elsewhere.work", link_error=app.signature("elsewhere.errback"))

    [following] = rescue(Cause.TIME_LIMIT).publish

    assert following.task == "elsewhere.errback"
    assert following.headers["parent_id"] == result.id
