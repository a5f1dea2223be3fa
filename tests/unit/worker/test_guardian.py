"""When the guardian looks after the loop."""

import threading
import time

import pytest

from umbel.worker.board import Board
from umbel.worker.guardian import Guardian
from umbel.worker.line import Line


class Loop:
    """Says for how long it has been busy, and notes when it is tended."""

    def __init__(self):
        self.line = Line(Board(1).places[0])
        self.since = 0.0
        self.more = False
        self.tended = threading.Event()
        self.moments = []

    def busy(self):
        return time.monotonic() - self.since if self.since else 0.0

    def tend(self):
        self.line.read()
        self.moments.append(time.monotonic())
        self.tended.set()
        return self.more


@pytest.fixture
def loop():
    loop = Loop()
    guardian = Guardian(loop)
    loop.guardian = guardian
    guardian.start()
    yield loop
    guardian.stop()


def test_a_loop_with_several_jobs_is_tended_after_twenty_milliseconds(loop):
    began = loop.since = time.monotonic()
    loop.guardian.watch()

    assert loop.tended.wait(5)
    assert 0.02 <= loop.moments[0] - began < 0.2


def test_it_is_tended_again_as_long_as_something_waits(loop):
    loop.more = True
    loop.since = time.monotonic()
    loop.guardian.watch()
    _await(lambda: len(loop.moments) >= 3)

    assert loop.moments[2] - loop.moments[0] < 0.5


def test_what_the_supervisor_says_is_heard_during_a_job(loop):
    loop.since = time.monotonic()
    loop.guardian.watch()
    assert loop.tended.wait(5)
    loop.tended.clear()
    loop.line.drain()

    assert loop.tended.wait(0.5)
    assert loop.line.draining


def test_a_loop_that_is_called_for_at_the_wrong_moment_is_not_forgotten(loop):
    """``watch`` between the guardian's look and its falling asleep."""
    for _ in range(200):
        loop.tended.clear()
        loop.since = time.monotonic() - 0.02
        loop.guardian.watch()
        assert loop.tended.wait(0.5), "only the look of once a second would find it"
        loop.since = 0.0


def _await(ask):
    end = time.monotonic() + 5
    while not ask():
        assert time.monotonic() < end
        time.sleep(0.001)
