"""What becomes of the messages of a consumer that died, for each way to die."""

from __future__ import annotations

import pytest

from umbel.backends.memory import MemoryBackend
from umbel.brokers.base import Settlement, Verdict
from umbel.brokers.memory import MemoryBroker
from umbel.exceptions import OperationalError, TimeLimitExceeded, WorkerLostError
from umbel.states import FAILURE, REVOKED
from umbel.testing.messages import message, messages
from umbel.worker.rescue import Cause, Death, Rescuer

DEAD = "node/1/dead"


@pytest.fixture
def broker(store):
    return MemoryBroker(store)


@pytest.fixture
def records(store):
    return MemoryBackend(store)


@pytest.fixture
def dying(broker):
    """Makes the consumer that is going to die."""
    made = []

    def sign_in():
        made.append(broker.consume(["celery"], DEAD))
        return made[-1]

    yield sign_in
    for consumer in made:
        consumer.close()


@pytest.fixture
def lend(broker, dying):
    """``lend(*messages)`` publishes these and lends what is ready to the consumer that is going to
    die; its deliveries, in that order."""

    def take(*wanted):
        broker.publish(wanted)
        return dying().exchange([], 1000).deliveries

    return take


@pytest.fixture
def told():
    """Every (delivery, settlement) that the rescuer reported."""
    return []


@pytest.fixture
def rescuer(broker, records, told):
    return Rescuer(
        broker, records, max_deliveries=3, ttl=60.0, ended=lambda *both: told.append(both)
    )


def death(cause, **fields):
    return Death(consumer_id=DEAD, cause=cause, **fields)


def waiting(broker, limit=1000):
    """What is ready, as another consumer gets it."""
    consumer = broker.consume(["celery"], "node/2/other")
    found = [one.message for one in consumer.exchange([], limit).deliveries]
    consumer.close()
    return found


def counts(broker):
    return {one.task: one.deliveries for one in waiting(broker)}


def test_of_a_crashed_process_only_what_it_was_running_counts(broker, rescuer, lend):
    _ended, running, _ahead = lend(message("ended"), message("running"), message("ahead"))

    assert rescuer.rescue(death(Cause.CRASHED, begun=frozenset({running.loan}))) == 3
    assert list(counts(broker)) == ["ended", "running", "ahead"]
    assert counts(broker) == {"ended": 0, "running": 1, "ahead": 0}


def test_of_a_process_that_was_ended_because_the_worker_stops_nothing_counts(broker, rescuer, lend):
    running, _ahead = lend(message("running"), message("ahead"))
    rescuer.rescue(death(Cause.STOPPED, begun=frozenset({running.loan})))

    assert counts(broker) == {"running": 0, "ahead": 0}


def test_of_a_silent_process_everything_counts(broker, rescuer, lend):
    lend(message("one"), message("other"))
    rescuer.rescue(death(Cause.SILENT))

    assert counts(broker) == {"one": 1, "other": 1}


def test_past_its_hard_limit_a_job_has_failed_and_the_others_go_back_uncounted(
    broker, records, rescuer, lend
):
    overdue, _ahead = lend(message("overdue", id="overdue"), message("ahead"))
    begun = frozenset({overdue.loan})
    rescuer.rescue(death(Cause.TIME_LIMIT, begun=begun, overdue=overdue.loan, limit=2.0))

    assert counts(broker) == {"ahead": 0}
    [letter] = broker.admin.dead()
    assert (letter.id, letter.reason) == ("overdue", f"TimeLimitExceeded: {TimeLimitExceeded(2.0)}")
    record = records.load("overdue")
    assert (record.status, record.name, record.queue) == (FAILURE, "overdue", "celery")
    assert record.result["exc_type"] == "TimeLimitExceeded"


def test_a_job_that_was_terminated_is_over_and_the_others_go_back_uncounted(
    broker, records, rescuer, told, lend
):
    unwanted, _ahead = lend(message("unwanted", id="unwanted"), message("ahead"))
    begun = frozenset({unwanted.loan})
    rescuer.rescue(death(Cause.TERMINATED, begun=begun, overdue=unwanted.loan))

    assert counts(broker) == {"ahead": 0}
    assert broker.admin.dead() == []
    record = records.load("unwanted")
    assert (record.status, record.result["exc_message"]) == (REVOKED, ["terminated"])
    assert sorted(settlement.reason for _, settlement in told) == ["", "terminated"]


def test_a_terminated_job_that_was_acknowledged_early_is_told_as_revoked(records, rescuer):
    rescuer.rescue(death(Cause.TERMINATED, acknowledged=frozenset({"early"})))

    assert records.load("early").status == REVOKED


def test_a_task_that_kills_its_process_for_the_last_time_is_a_dead_letter(
    broker, records, rescuer, lend
):
    broker.publish([message("poison", id="poison")])
    for _ in range(3):
        [running] = lend()
        rescuer.rescue(
            death(Cause.CRASHED, begun=frozenset({running.loan}), detail="signal 9 (SIGKILL)")
        )

    assert waiting(broker) == []
    [letter] = broker.admin.dead()
    assert letter.reason == "WorkerLostError: the worker process died 3 times (signal 9 (SIGKILL))"
    assert records.load("poison").result["exc_type"] == "WorkerLostError"


def test_a_task_whose_result_nobody_wants_leaves_a_dead_letter_and_no_record(
    broker, records, rescuer, lend
):
    [overdue] = lend(message(id="unwanted", headers={"ignore_result": True}))
    rescuer.rescue(death(Cause.TIME_LIMIT, overdue=overdue.loan, limit=2.0))

    assert [letter.id for letter in broker.admin.dead()] == ["unwanted"]
    assert records.load("unwanted") is None


def test_without_a_result_backend_a_rescue_does_the_rest(broker, lend):
    rescuer = Rescuer(broker, None, max_deliveries=1, ttl=None, ended=lambda *_both: None)
    lend(message(id="lost"))
    rescuer.rescue(death(Cause.SILENT, acknowledged=frozenset({"early"})))

    assert [letter.id for letter in broker.admin.dead()] == ["lost"]


def test_what_is_not_a_message_goes_back_for_the_next_one_to_refuse(broker, rescuer, lend):
    broker.put_raw("celery", b"no message")
    [unreadable] = lend()
    rescuer.rescue(death(Cause.CRASHED, begun=frozenset({unreadable.loan})))

    assert waiting(broker) == [None]


def test_many_messages_go_back_in_their_order(broker, rescuer, lend):
    sent = messages(450)
    lend(*sent)

    assert rescuer.rescue(death(Cause.CRASHED)) == 450
    assert [one.id for one in waiting(broker)] == [one.id for one in sent]


def test_what_the_dead_settled_at_the_last_moment_is_not_reported(broker, told, dying):
    late = dying()
    broker.publish([message(id="first"), message(id="second")])
    first, second = late.exchange([], 2).deliveries

    class Elsewhere:
        """A store that takes its time: meanwhile the last words of the dead arrive."""

        def store_many(self, records):
            late.exchange([Settlement(delivery=first, verdict=Verdict.ACK)], 0)

    rescuer = Rescuer(
        broker, Elsewhere(), max_deliveries=1, ttl=None, ended=lambda *both: told.append(both)
    )
    rescuer.rescue(death(Cause.SILENT))

    assert [delivery.loan for delivery, _settlement in told] == [second.loan]
    assert [letter.id for letter in broker.admin.dead()] == ["second"]


def test_rescuing_twice_changes_nothing(broker, told, rescuer, lend):
    lend(message("one"))
    rescuer.rescue(death(Cause.SILENT))

    assert rescuer.rescue(death(Cause.SILENT)) == 0
    assert counts(broker) == {"one": 1}
    assert len(told) == 1


@pytest.mark.parametrize(
    ("cause", "error"),
    [
        (Cause.CRASHED, WorkerLostError("the worker process died (signal 9)")),
        (Cause.STOPPED, WorkerLostError("the worker process died (signal 9)")),
        (Cause.TIME_LIMIT, TimeLimitExceeded(2.0)),
    ],
)
def test_who_waits_for_a_job_acknowledged_early_is_told_how_it_ended(
    records, rescuer, cause, error
):
    rescuer.rescue(death(cause, acknowledged=frozenset({"early"}), limit=2.0, detail="signal 9"))

    record = records.load("early")
    assert (record.status, record.traceback) == (FAILURE, f"{type(error).__name__}: {error}")


def test_a_rescue_that_cannot_store_is_made_good_by_the_next(broker, rescuer, lend, store):
    class Away(MemoryBackend):
        away = True

        def store_many(self, records):
            if self.away:
                raise OperationalError("away")
            super().store_many(records)

    rescuer.records = Away(f"{store}-elsewhere")
    [overdue] = lend(message(id="overdue"))
    fate = death(
        Cause.TIME_LIMIT,
        overdue=overdue.loan,
        limit=2.0,
        acknowledged=frozenset({"early"}),
        detail="signal 9",
    )
    with pytest.raises(OperationalError, match="away"):
        rescuer.rescue(fate)
    assert broker.admin.locate("overdue").where == "lent"
    rescuer.records.away = False

    rescuer.rescue(fate)
    assert broker.admin.locate("overdue").where == "dead"
    assert rescuer.records.load("overdue").status == FAILURE
    assert rescuer.records.load("early").status == FAILURE
