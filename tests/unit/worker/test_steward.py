"""The thread that beats for the living and takes from the dead, on a broker in this process."""

from __future__ import annotations

import threading

import pytest
from tests.clocks import Movable
from tests.deployment import await_true

from umbel.backends.memory import MemoryBackend
from umbel.brokers.base import Settlement, Verdict
from umbel.brokers.memory import MemoryBroker
from umbel.events.emitter import Emitter
from umbel.events.types import BrokerBack, BrokerLost
from umbel.exceptions import ConnectionLost, OperationalError
from umbel.states import FAILURE
from umbel.testing.messages import message, messages
from umbel.worker.rescue import Cause, Death, Rescuer
from umbel.worker.services.steward import Steward

LIMIT = 30.0


class Broker(MemoryBroker):
    """Can be away, and counts how often the silent were asked for."""

    away = False

    def __init__(self, url, **options):
        super().__init__(url, **options)
        self.looks = threading.Semaphore(0)

    def beat(self, consumer_ids):
        if self.away:
            raise ConnectionLost("the broker is away")
        return super().beat(consumer_ids)

    def silent(self, limit):
        found = super().silent(limit)
        self.looks.release()
        return found


class Backend(MemoryBackend):
    """Can be away, or refuse the record of one task in another way."""

    away = False
    refused = ""

    def __init__(self, url):
        super().__init__(url)
        self.attempts = threading.Semaphore(0)

    def store_many(self, records):
        self.attempts.release()
        if self.away:
            raise OperationalError("the results are away")
        if self.refused in {record.task_id for record in records}:
            raise ValueError(self.refused)
        super().store_many(records)


@pytest.fixture
def clock():
    return Movable()


@pytest.fixture
def broker(store, clock):
    return Broker(store, clock=clock)


@pytest.fixture
def records(store):
    return Backend(f"{store}-results")


@pytest.fixture
def living():
    """The ids that the steward beats for."""
    return []


@pytest.fixture
def steward(broker, records, living):
    rescuer = Rescuer(broker, records, max_deliveries=3, ttl=60.0, ended=lambda *_both: None)
    service = Steward(
        broker=broker,
        records=records,
        rescuer=rescuer,
        emitter=Emitter(),
        living=lambda: living,
        interval=0.01,
        limit=LIMIT,
        parked_limit=0.0,
        ttl=60.0,
    )
    yield service
    service.stop()
    service.join(5)


@pytest.fixture
def consume(broker):
    """``consume(id, count)``: a consumer that holds so many messages, and their ids."""
    made = []

    def take(name, count=1):
        consumer = broker.consume(["celery"], name)
        made.append(consumer)
        broker.publish(messages(count))
        return [one.message.id for one in consumer.exchange([], count).deliveries]

    yield take
    for consumer in made:
        consumer.close()


def looks(broker, count):
    """Wait for so many looks at the silent that begin from now on."""
    while broker.looks.acquire(blocking=False):
        pass
    for _ in range(count + 1):  # one may have begun before
        assert broker.looks.acquire(timeout=5)


def where(broker, *ids):
    return [(place.where, place.message.deliveries) for place in map(broker.admin.locate, ids)]


def test_whom_it_beats_for_keeps_the_loans_and_who_is_silent_loses_them(
    broker, clock, steward, living, consume
):
    [kept], [lost] = consume("living"), consume("silent")
    living += ["living", ""]  # a child that has not signed in yet has no id
    steward.start()
    looks(broker, 1)
    clock.moment += LIMIT + 1

    await_true(lambda: where(broker, kept, lost) == [("lent", 0), ("ready", 1)], 5)
    looks(broker, 2)
    assert where(broker, kept, lost) == [("lent", 0), ("ready", 1)]


def test_one_look_condemns_nobody(broker, clock, steward, consume):
    """After the server itself was away for longer than the limit everybody seems silent at first."""
    [task_id] = consume("other")
    clock.moment += LIMIT + 1
    steward._rescue_silent()
    assert where(broker, task_id) == [("lent", 0)]
    broker.beat(["other"])
    clock.moment += LIMIT + 1

    steward._rescue_silent()
    assert where(broker, task_id) == [("lent", 0)], "it has been heard of in between"
    steward._rescue_silent()
    assert where(broker, task_id) == [("ready", 1)]


def test_looks_from_before_an_outage_do_not_count(broker, clock, steward, consume):
    [task_id] = consume("other")
    clock.moment += LIMIT + 1
    steward._rescue_silent()
    broker.away = True
    assert not steward._beat()
    broker.away = False
    assert steward._beat()

    steward._rescue_silent()
    assert where(broker, task_id) == [("lent", 0)]


def test_a_death_in_the_own_worker_is_dealt_with_at_once(broker, steward, consume):
    [task_id] = consume("child")
    steward.interval = 600.0
    steward.start()
    assert broker.looks.acquire(timeout=5)
    steward.bury(Death(consumer_id="child", cause=Cause.CRASHED))

    await_true(lambda: where(broker, task_id) == [("ready", 0)], 5)
    await_true(lambda: steward.idle, 5)


def test_a_death_that_cannot_be_dealt_with_holds_up_no_other_and_is_tried_again(
    broker, records, steward, consume
):
    [first], [second] = consume("first"), consume("second")
    records.away = True
    for name, early in (("first", "early"), ("second", "")):
        steward.bury(
            Death(consumer_id=name, cause=Cause.CRASHED, acknowledged=frozenset({early} - {""}))
        )
    steward.start()
    await_true(lambda: where(broker, first, second) == [("ready", 0), ("ready", 0)], 5)
    assert not steward.idle
    records.away = False

    await_true(lambda: steward.idle, 5)
    assert records.load("early").status == FAILURE


def test_loans_that_cannot_be_taken_back_do_not_keep_those_of_others(
    broker, clock, records, steward, consume, caplog
):
    [broken], [other] = consume("broken"), consume("other")
    steward.rescuer.max_deliveries = 1
    records.refused = broken
    clock.moment += LIMIT + 1
    steward._rescue_silent()
    steward._rescue_silent()

    assert broker.admin.locate(other).where == "dead"
    assert records.load(other).status == FAILURE
    assert broker.admin.locate(broken).where == "lent"
    assert "The loans of broken could not be taken back" in caplog.text


def test_an_outage_is_told_once_and_its_end_once(broker, steward):
    told = []
    for event in (BrokerLost, BrokerBack):
        steward.emitter.subscribe(event, lambda one: told.append(type(one)))
    for broker.away in (False, False, True, True, False, False):
        steward._beat()

    assert told == [BrokerBack, BrokerLost, BrokerBack]
    assert steward.connected


# Messages that nobody knows ---------------------------------------------------------------------


@pytest.fixture
def park(broker):
    """``park(*messages)``: kept aside, because no worker knows their tasks."""
    consumer = broker.consume(["celery"], "parks")

    def keep_aside(*wanted):
        broker.publish(wanted)
        found = consumer.exchange([], len(wanted)).deliveries
        consumer.exchange([Settlement(delivery=one, verdict=Verdict.PARK) for one in found], 0)

    yield keep_aside
    consumer.close()


def test_who_waits_for_a_task_that_nobody_knew_in_time_is_told_although_the_results_were_away(
    broker, clock, records, steward, park
):
    park(*(message("unknown", id=f"id-{number}") for number in range(3)))
    clock.moment += 1.0
    records.away = True
    steward.start()
    for _ in range(3):
        assert records.attempts.acquire(timeout=5)
    assert broker.admin.dead_count() == 3
    assert records.load("id-0") is None
    records.away = False

    kept = await_true(lambda: records.load("id-2"), 5)
    assert (kept.status, kept.name) == (FAILURE, "unknown")
    assert kept.result["exc_type"] == "NotRegistered"
    assert records.load("id-0").status == records.load("id-1").status == FAILURE


def test_expired_messages_whose_results_nobody_wants_leave_none(
    broker, clock, records, steward, park
):
    park(
        message("unknown", id="unwanted", headers={"ignore_result": True}),
        message("unknown", id="wanted"),
    )
    clock.moment += 1.0
    steward.start()

    await_true(lambda: records.load("wanted"), 5)
    assert records.load("unwanted") is None
    assert broker.admin.dead_count() == 2


def test_a_worker_that_stops_stores_what_it_still_can(broker, clock, records, steward, park):
    park(message("unknown", id="late"))
    clock.moment += 1.0
    records.away = True
    steward.interval = 600.0
    steward.start()
    assert records.attempts.acquire(timeout=5)
    records.away = False
    steward.stop()
    steward.join(5)

    assert records.load("late").status == FAILURE


def test_what_projects_are_told_of_a_rescue_holds_up_no_fork(steward, consume):
    held = []
    steward.rescuer.ended = lambda *_both: held.append(steward.quiet.locked())
    consume("dead")
    steward.bury(Death(consumer_id="dead", cause=Cause.CRASHED))
    steward._bury_all()

    assert held == [False]
