"""What a process knows of revoked tasks: asked for once for each change, and not at all without one."""

from __future__ import annotations

import time

import pytest

from umbel import states
from umbel.brokers.memory.broker import MemoryBroker
from umbel.exceptions import ConnectionLost, Reject, TaskRevokedError
from umbel.testing.messages import message
from umbel.worker.job import Job
from umbel.worker.middleware.revocation import Revocation
from umbel.worker.revoked import Revoked


class Counting(MemoryBroker):
    """Counts how often it was asked, and can be away."""

    asked = 0
    away = False

    def revoked(self):
        self.asked += 1
        if self.away:
            raise ConnectionLost("away")
        return super().revoked()


@pytest.fixture
def broker(request):
    return Counting(f"memory://{request.node.name}")


@pytest.fixture
def consumer(broker):
    consumer = broker.consume(["celery"], "one")
    yield consumer
    consumer.close()


def job_of(broker, consumer, revoked):
    """The next job, and what its exchange told."""
    broker.publish([message("add")])
    exchange = consumer.exchange([], 1)
    if exchange.revocations != revoked.version:
        revoked.note(exchange.revocations)
    (delivery,) = exchange.deliveries
    return Job(delivery, delivery.message, None, None)


def test_nobody_asks_until_something_is_revoked(broker, consumer):
    called = []
    revoked = Revoked(broker, lambda: called.append(True))
    job_of(broker, consumer, revoked)
    assert (called, broker.asked) == ([], 0)


def test_the_ids_are_read_once_for_each_change(broker, consumer):
    called = []
    revoked = Revoked(broker, lambda: called.append(True))
    gate = Revocation(revoked)
    broker.revoke(["other"], time.time() + 60)
    for _ in range(3):
        assert gate.admit(job_of(broker, consumer, revoked)) is None
    assert (called, broker.asked) == ([True], 1)
    job = job_of(broker, consumer, revoked)
    broker.revoke([job.message.id], time.time() + 60)
    job_of(broker, consumer, revoked)
    outcome = gate.admit(job)
    assert (outcome.state, broker.asked) == (states.REVOKED, 2)
    assert isinstance(outcome.error, TaskRevokedError)
    assert outcome.error.args == ("revoked",)


def test_a_job_goes_back_when_it_cannot_be_asked_whether_it_was_revoked(broker, consumer):
    revoked = Revoked(broker, list)
    gate = Revocation(revoked)
    broker.revoke(["other"], time.time() + 60)
    job = job_of(broker, consumer, revoked)
    broker.away = True
    outcome = gate.admit(job)
    assert isinstance(outcome.error, Reject)
    assert outcome.error.requeue
    broker.away = False
    assert gate.admit(job) is None
