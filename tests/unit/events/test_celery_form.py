"""Our events have the fields that Celery's have; the golden samples are of a worker of Celery 5.7."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from umbel.events.celery_form import fields_of, group_of, sent_fields, stamped, utcoffset
from umbel.events.types import (
    LoanLost,
    MessageRescued,
    TaskFailed,
    TaskParked,
    TaskReceived,
    TaskRejected,
    TaskRetried,
    TaskRevoked,
    TaskStarted,
    TaskSucceeded,
)
from umbel.message.message import Message
from umbel.testing.messages import message

GOLDEN = json.loads((Path(__file__).parent / "golden" / "celery.json").read_text("utf-8"))

TRACEBACK = "Traceback (most recent call last):\n"
ETA, EXPIRES = (GOLDEN["task-received"]["event"][name] for name in ("eta", "expires"))

EVENTS = {
    "task-received": TaskReceived(
        id="id-eta",
        name="add",
        shadow="shown",
        args="(***)",
        kwargs="{}",
        root_id="id-eta",
        eta=ETA,
        expires=EXPIRES,
    ),
    "task-started": TaskStarted(id="id-add", name="add"),
    "task-succeeded": TaskSucceeded(
        id="id-add",
        name="add",
        result="5",
        runtime=GOLDEN["task-succeeded"]["event"]["runtime"],
    ),
    "task-failed": TaskFailed(
        id="id-boom", name="boom", error="ValueError('x')", traceback=f"{TRACEBACK}ValueError: x"
    ),
    "task-retried": TaskRetried(
        id="id-again",
        name="again",
        reason="Retry in 0s: ValueError('y')",
        error="ValueError('y')",
        traceback=GOLDEN["task-retried"]["event"]["traceback"],
    ),
    "task-rejected": TaskRejected(id="id-rejq", name="rejq", reason="no", requeued=True),
    "task-revoked exp": TaskRevoked(id="id-exp", name="add", expired=True),
    "task-revoked rev": TaskRevoked(id="id-rev", name="add"),
    "task-revoked slow": TaskRevoked(id="id-slow", name="slow", terminated=True, signal=15),
}


def whole(name, fields, golden):
    return stamped(
        name,
        fields,
        hostname=golden["hostname"],
        pid=golden["pid"],
        clock=golden["clock"],
        offset=golden["utcoffset"],
        timestamp=golden["timestamp"],
    )


@pytest.mark.parametrize("sample", EVENTS)
def test_an_event_is_told_as_celery_tells_it(sample):
    golden = GOLDEN[sample]["event"]

    name, fields = fields_of(EVENTS[sample])

    assert whole(name, fields, golden) == golden


def test_a_sent_task_is_told_as_celery_tells_it():
    golden = GOLDEN["task-sent"]["event"]
    sent = Message(
        headers={
            "id": "id-eta", "task": "add", "root_id": "id-eta", "parent_id": None, "retries": 0,
            "argsrepr": "(***)", "kwargsrepr": "{}", "eta": golden["eta"],
            "expires": golden["expires"], "shadow": "shown",
        },
        body=b"",
    )  # fmt: skip

    assert whole("task-sent", sent_fields(sent), golden) == golden


def test_what_is_told_of_arguments_is_what_the_sender_shows_of_them():
    received = TaskReceived.of(message(headers={"argsrepr": "(***)"}))

    assert fields_of(received)[1]["args"] == "(***)"


def test_a_message_that_killed_its_processes_has_failed():
    assert fields_of(
        MessageRescued(id="1", name="add", reason="WorkerLostError: gone", dead=True)
    ) == (
        "task-failed",
        {
            "uuid": "1",
            "exception": "WorkerLostError: gone",
            "traceback": "WorkerLostError: gone",
        },
    )


@pytest.mark.parametrize(
    "event",
    [
        MessageRescued(id="1", name="add"),
        TaskParked(id="1", name="add", queue="celery"),
        LoanLost(id="1", name="add"),
    ],
)
def test_what_celery_has_no_word_for_is_not_told(event):
    assert fields_of(event) is None


def test_a_retry_without_an_exception_tells_its_reason():
    retried = TaskRetried(id="1", name="add", reason="Retry in 3s")

    assert fields_of(retried)[1]["exception"] == "Retry in 3s"


def test_the_group_of_an_event_is_its_first_word():
    assert [group_of(name) for name in ("task-sent", "custom-my-event", "worker-online")] == [
        "task",
        "custom",
        "worker",
    ]


def test_the_offset_counts_hours_west_of_utc():
    assert -14 <= utcoffset() <= 12
