"""What becomes of a delivery before it is a job, where its task has a rate limit."""

import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from umbel import Umbel, uuid
from umbel.brokers.base import Verdict
from umbel.events.emitter import Emitter
from umbel.events.types import TaskReceived
from umbel.worker.job import Job
from umbel.worker.rate_limits import RateLimits
from umbel.worker.reception import Reception
from umbel.worker.revoked import Revoked


@pytest.fixture
def app():
    with Umbel("reception", broker=f"memory://{uuid()}", set_as_current=False) as app:

        @app.task(name="rare", rate_limit="1/h")
        def rare():
            return None

        yield app


@pytest.fixture
def take(app):
    """Sends a call, with these options, and looks at its delivery."""
    emitter, told = Emitter(), []
    emitter.subscribe(TaskReceived, told.append)
    revoked = Revoked(app.broker, lambda: None)
    reception = Reception(app.tasks, emitter, rates=RateLimits({"rare": "1/h"}), revoked=revoked)
    with closing(app.broker.consume(["celery"], "node/1/test")) as consumer:

        def look(**options):
            result = app.tasks["rare"].apply_async(**options)
            if options.get("task_id") == "revoked":
                app.broker.revoke(["revoked"], time.time() + 60)
            exchange = consumer.exchange([], 1)
            revoked.note(exchange.revocations)
            [delivery] = exchange.deliveries
            assert delivery.message.id == result.id
            return reception.look_at(delivery)

        look.told = told
        yield look


def test_the_first_is_a_job_and_the_second_goes_back_with_a_delay(take):
    assert isinstance(take(), Job)
    settlement = take()

    assert (settlement.verdict, settlement.counted) == (Verdict.RELEASE, False)
    assert 0 < settlement.delay <= 60
    assert len(take.told) == 1, "it has been received once it may run"


def test_what_is_revoked_or_late_waits_for_nothing_and_uses_up_no_start(take):
    assert isinstance(take(task_id="revoked"), Job)  # which the pipeline refuses
    assert isinstance(take(expires=datetime.now(UTC) - timedelta(seconds=1)), Job)
    assert isinstance(take(), Job)
    assert isinstance(take(task_id="revoked"), Job)
    assert not isinstance(take(), Job)


def test_what_expires_comes_back_then(take):
    assert isinstance(take(), Job)

    assert 0 < take(expires=5).delay <= 5
