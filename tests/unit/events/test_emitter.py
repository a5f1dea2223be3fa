"""Who receives which event."""

from __future__ import annotations

import logging
import threading
import time
import timeit

import pytest

from umbel.events.emitter import Emitter
from umbel.events.types import (
    BrokerLost,
    Event,
    TaskEvent,
    TaskFailed,
    TaskReceived,
    TaskStarted,
    TaskSucceeded,
    WorkerReady,
)
from umbel.testing.messages import message

STARTED = TaskStarted(id="1", name="add")
READY = WorkerReady(node="celery@here")


@pytest.fixture
def emitter() -> Emitter:
    return Emitter()


def test_a_receiver_is_given_the_events_of_its_type(emitter):
    received = []
    emitter.subscribe(TaskStarted, received.append)
    emitter.emit(STARTED)
    emitter.emit(READY)
    assert received == [STARTED]


def test_a_subscription_to_a_base_class_receives_all_that_descends_from_it(emitter):
    tasks, everything = [], []
    emitter.subscribe(TaskEvent, tasks.append)
    emitter.subscribe(Event, everything.append)
    emitter.emit(STARTED)
    emitter.emit(READY)
    assert tasks == [STARTED]
    assert everything == [STARTED, READY]


def test_receivers_are_called_in_the_order_in_which_they_subscribed(emitter):
    order = []
    emitter.subscribe(TaskStarted, lambda _: order.append("first"))
    emitter.subscribe(Event, lambda _: order.append("second"))
    emitter.subscribe(TaskEvent, lambda _: order.append("third"))
    emitter.emit(STARTED)
    assert order == ["first", "second", "third"]


def test_a_receiver_that_subscribed_twice_is_called_once(emitter):
    received = []
    emitter.subscribe(TaskStarted, received.append)
    emitter.subscribe(TaskStarted, received.append)
    emitter.subscribe(TaskEvent, received.append)
    emitter.emit(STARTED)
    assert received == [STARTED]


def test_an_ended_subscription_receives_nothing_more(emitter):
    received = []
    emitter.subscribe(TaskStarted, received.append)
    emitter.unsubscribe(TaskStarted, received.append)
    emitter.unsubscribe(TaskStarted, received.append)
    emitter.emit(STARTED)
    assert received == []
    assert not emitter.wanted(TaskStarted)


def test_ending_one_subscription_leaves_the_others(emitter):
    first, second = [], []
    for received in (first, second):
        emitter.subscribe(TaskStarted, received.append)
    emitter.unsubscribe(TaskStarted, first.append)
    emitter.emit(STARTED)
    assert (first, second) == ([], [STARTED])


def test_wanted_follows_the_subscriptions(emitter):
    assert not emitter.wanted(TaskStarted)
    emitter.subscribe(TaskEvent, print)
    assert emitter.wanted(TaskStarted)
    assert emitter.wanted(TaskSucceeded)
    assert not emitter.wanted(WorkerReady)
    emitter.subscribe(Event, print)
    assert emitter.wanted(WorkerReady)


def test_a_receiver_that_raises_is_logged_and_does_not_disturb_the_others(emitter, caplog):
    received = []

    def broken(event):
        raise ValueError("no disk")

    emitter.subscribe(TaskStarted, broken)
    emitter.subscribe(TaskStarted, received.append)
    with caplog.at_level(logging.ERROR, "umbel.events"):
        emitter.emit(STARTED)
    assert received == [STARTED]
    (record,) = caplog.records
    assert "broken" in record.getMessage()
    assert record.exc_info[0] is ValueError


def test_a_receiver_may_end_the_program(emitter):
    def leave(event):
        raise SystemExit(3)

    emitter.subscribe(TaskStarted, leave)
    with pytest.raises(SystemExit):
        emitter.emit(STARTED)


def test_only_types_of_events_can_be_subscribed_to(emitter):
    with pytest.raises(TypeError, match=r"'task-started' is not a type of event"):
        emitter.subscribe("task-started", print)
    with pytest.raises(TypeError, match="is not a type of event"):
        emitter.subscribe(int, print)


def test_a_receiver_may_subscribe_and_unsubscribe_while_it_receives(emitter):
    received = []

    def once(event):
        emitter.unsubscribe(TaskStarted, once)
        emitter.subscribe(TaskStarted, received.append)

    emitter.subscribe(TaskStarted, once)
    emitter.emit(STARTED)
    emitter.emit(STARTED)
    assert received == [STARTED]


def test_threads_may_emit_while_others_subscribe(emitter):
    received = []
    emitter.subscribe(TaskStarted, received.append)

    def emit():
        for _ in range(2000):
            emitter.emit(STARTED)

    def subscribe():
        for _ in range(200):
            emitter.subscribe(WorkerReady, print)
            emitter.unsubscribe(WorkerReady, print)

    threads = [threading.Thread(target=work) for work in (emit, emit, subscribe)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(received) == 4000


def test_an_event_that_nobody_wants_costs_next_to_nothing(emitter):
    emitter.subscribe(BrokerLost, print)
    rounds = 20_000
    plain = min(timeit.repeat(lambda: len(STARTED.id), number=rounds, repeat=5))
    unwanted = min(timeit.repeat(lambda: emitter.emit(STARTED), number=rounds, repeat=5))
    assert unwanted < 6 * plain


def test_events_know_when_they_happened_and_cannot_be_changed():
    before = time.time()
    event = TaskSucceeded(id="1", name="add", runtime=0.5, result="5")
    assert before <= event.timestamp <= time.time()
    with pytest.raises(AttributeError):
        event.result = "6"


def test_the_event_of_a_received_message_tells_its_headers():
    sent = message("add", (2, 3), {"z": 1}, id="1", headers={"retries": 2, "expires": "2026"})
    event = TaskReceived.of(sent)
    assert (event.id, event.name, event.queue) == ("1", "add", "celery")
    assert (event.args, event.kwargs) == ("(2, 3)", "{'z': 1}")
    assert (event.retries, event.expires, event.eta) == (2, "2026", None)
    assert (event.root_id, event.parent_id, event.deliveries) == ("1", None, 0)


def test_the_event_of_a_message_with_only_the_needed_headers_can_be_made():
    sent = message("add")
    bare = type(sent)(headers={"task": "add", "id": "1"}, body=sent.body)
    assert TaskReceived.of(bare).args == ""


def test_a_failure_is_unexpected_unless_it_says_otherwise():
    event = TaskFailed(id="1", name="add", error="ValueError('x')")
    assert not event.expected
    assert event.traceback == ""
