"""When the autoscaler wishes for more processes, and when for less."""

import threading

import pytest

from umbel.worker.board import Board
from umbel.worker.services.autoscaler import Autoscaler
from umbel.worker.size import Size

KEEPALIVE = 30.0


class Fleet:
    """A worker of as many processes as it wishes for, of which so many are busy."""

    def __init__(self, broker, least, most):
        self.board = Board(most)
        self.size = Size(least, room=most, changed=lambda: None, bounds=(least, most))
        self.autoscaler = Autoscaler(
            size=self.size,
            staying=lambda: self.board.places[: self.size.wanted],
            broker=broker,
            queues=lambda: ["celery"],
            quiet=threading.Lock(),
            keepalive=KEEPALIVE,
        )

    def look(self, now, busy):
        """The size after a look at this moment."""
        for place in self.board.places:
            place.announce(ready=True)
            if place.number <= busy:
                place.rise()
            else:
                place.rest()
        self.autoscaler.look(now)
        return self.size.wanted


@pytest.fixture
def fleet(app):
    return Fleet(app.broker, 2, 6)


@pytest.fixture
def send(app):
    task = app.task(name="waits")(lambda: None)
    return lambda number: [task.delay() for _ in range(number)]


def test_it_grows_at_once_when_all_are_busy_and_messages_wait(fleet, send):
    send(3)

    assert fleet.look(0.0, busy=2) == 5
    assert fleet.look(0.5, busy=5) == 6, "and no further than it may"


def test_it_does_not_grow_while_somebody_is_idle_or_nothing_waits(fleet, send):
    assert fleet.look(0.0, busy=2) == 2
    send(3)

    assert fleet.look(0.5, busy=1) == 2


def test_messages_of_a_paused_queue_do_not_count(fleet, send, app):
    send(3)
    app.broker.admin.pause("celery")

    assert fleet.look(0.0, busy=2) == 2


def test_it_shrinks_one_by_one_after_a_while_without_need(fleet, send):
    send(9)
    assert fleet.look(0.0, busy=2) == 6
    assert fleet.look(1.0, busy=6) == 6
    assert fleet.look(1.0 + KEEPALIVE - 0.1, busy=0) == 6

    sizes = [fleet.look(1.0 + KEEPALIVE + look / 2, busy=0) for look in range(6)]
    assert sizes == [5, 4, 3, 2, 2, 2]


def test_it_keeps_as_many_as_were_busy_at_the_same_time(fleet, send, app):
    send(9)
    assert fleet.look(0.0, busy=2) == 6
    app.broker.admin.purge("celery")
    for second in range(1, 100):
        size = fleet.look(float(second), busy=4 if second % 20 == 0 else 0)

    assert size == 4
