"""Capturing events from a bus: every form in which they come, and what does not end a capture."""

from __future__ import annotations

import logging
import threading
from itertools import count

import pytest

from umbel.brokers.memory.broker import MemoryBroker
from umbel.events.receiver import EventReceiver

numbers = count()


@pytest.fixture
def broker():
    opened = MemoryBroker(f"memory://events{next(numbers)}")
    yield opened
    opened.close()


def capture(broker, handlers, tell, **options):
    """Start to capture, then call ``tell`` with a function that publishes."""
    receiver = EventReceiver(broker, handlers=handlers, **options)
    steps = receiver.itercapture(limit=None, timeout=5)
    original = receiver.wakeup_workers

    def listening() -> None:
        original()
        tell(lambda topic, payload: broker.bus.publish(f"celeryev/{topic}", payload))

    receiver.wakeup_workers = listening
    return receiver, steps


def event(kind: str, **fields):
    return {"type": kind, "hostname": "w@h", "timestamp": 1.0, **fields}


def test_each_event_goes_to_the_handler_of_its_type_or_to_the_one_for_all(broker):
    failed, others = [], []

    def tell(publish):
        publish("worker.online", event("worker-online"))
        publish("task.multi", [event("task-started", uuid="1"), event("task-failed", uuid="1")])

    _, steps = capture(broker, {"task-failed": failed.append, "*": others.append}, tell)
    next(steps), next(steps)

    assert [one["type"] for one in failed] == ["task-failed"]
    assert [one["type"] for one in others] == ["worker-online", "task-started"]
    assert all(one["local_received"] > 1 for one in failed + others)


def test_workers_are_asked_for_a_sign_of_life_when_somebody_listens(broker):
    asked = broker.bus.listen(["celery.pidbox"])
    heard = []
    receiver = EventReceiver(broker, handlers={"*": heard.append})
    with pytest.raises(TimeoutError, match=r"No event within 0\.01 seconds"):
        receiver.capture(timeout=0.01)
    [notice] = asked.take()
    assert (notice.payload["method"], notice.payload["destination"]) == ("heartbeat", None)

    with pytest.raises(TimeoutError):
        receiver.capture(timeout=0.01, wakeup=False)
    assert asked.take() == []
    asked.close()


def test_what_is_no_event_is_skipped_and_a_handler_that_raises_is_logged(broker, caplog):
    heard = []

    def tell(publish):
        publish("task.multi", ["text", {"no": "type"}, None, event("task-started", uuid="1")])
        publish("task.failed", event("task-failed", uuid="1"))

    def stumble(_):
        raise ValueError("stumbled")

    handlers = {"task-failed": stumble, "*": heard.append}
    _, steps = capture(broker, handlers, tell)
    with caplog.at_level(logging.WARNING, "umbel.events"):
        next(steps), next(steps)

    assert [one["type"] for one in heard] == ["task-started"]
    assert caplog.text.count("Skipped what is no event on celeryev/task.multi") == 3
    assert "Could not take in the event" in caplog.text
    assert "stumbled" in caplog.text


@pytest.mark.parametrize(
    ("routing_key", "expected"),
    [
        ("task.failed", ["task-failed"]),
        ("task.#", ["task-started", "task-failed", "task-my-own"]),
        ("task.*", ["task-started", "task-failed"]),
        ("worker.#", ["worker-online"]),
        ("#", ["worker-online", "task-started", "task-failed", "task-my-own"]),
    ],
)
def test_only_the_events_that_were_asked_for_come(broker, routing_key, expected):
    heard = []

    def tell(publish):
        publish("worker.online", event("worker-online"))
        publish("task.multi", [event("task-started", uuid="1"), event("task-failed", uuid="1")])
        publish("task.my.own", event("task-my-own", uuid="1"))

    receiver, steps = capture(broker, {"*": heard.append}, tell, routing_key=routing_key)
    for _ in steps:
        receiver.should_stop = len(heard) == len(expected)

    assert [one["type"] for one in heard] == expected


def test_a_capture_ends_after_so_many_messages_or_when_it_is_told(broker):
    heard = []

    def tell(publish):
        for _ in range(5):
            publish("task.multi", [event("task-started", uuid="1")] * 2)

    receiver = EventReceiver(broker, handlers={"*": heard.append})
    receiver.wakeup_workers = lambda: tell(
        lambda topic, payload: broker.bus.publish(f"celeryev/{topic}", payload)
    )
    receiver.capture(limit=3)
    assert len(heard) == 6

    thread = threading.Thread(target=receiver.capture)
    thread.start()
    receiver.should_stop = True
    thread.join(10)
    assert not thread.is_alive()


def test_an_argument_that_no_receiver_has_is_refused(broker):
    EventReceiver(broker, queue_ttl=5, queue_expires=60, queue_exclusive=True, queue_durable=False)
    with pytest.raises(TypeError, match="no argument 'queue_colour'"):
        EventReceiver(broker, queue_colour="red")
