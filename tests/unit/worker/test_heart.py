"""What a node tells of itself: how much it has done, over all its processes."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from uuid import uuid4

from umbel import Umbel
from umbel.events.lamport import LamportClock
from umbel.worker.board import Board
from umbel.worker.services.heart import Heart, Tally

GOLDEN = json.loads((Path(__file__).parents[1] / "events/golden/celery.json").read_text("utf-8"))


def test_jobs_of_processes_that_are_no_more_still_count():
    board = Board(2)
    tally = Tally(board.places)
    board.places[0].count(3)
    board.places[1].count(4)
    assert tally.count() == 7

    board.places[0].count(5)
    assert tally.count() == 9
    board.places[0].clear()
    assert tally.count() == 9
    board.places[0].count(1)

    assert (tally.count(), tally.active) == (10, 0)


def test_jobs_of_processes_that_were_added_count():
    board = Board(1, room=1)
    tally = Tally(board.places)
    board.places[0].count(3)
    assert tally.count() == 3

    added = board.add()
    assert added is not None
    added.count(4)

    assert tally.count() == 7


def test_a_heart_tells_first_that_it_is_online_and_last_that_it_is_not():
    with Umbel("proj", broker=f"memory://{uuid4().hex}", set_as_current=False) as app:
        listener = app.broker.bus.listen(["ours/*"])
        heart = Heart(
            bus=app.broker.bus,
            quiet=threading.Lock(),
            clock=LamportClock(),
            node="w1@h",
            exchange="ours",
            interval=60.0,
            tally=Tally(Board(1).places),
            wanted=lambda: True,
        )
        heart.start()
        listener.wait(10)
        heart.beat()
        heart.stop()
        heart.join(10)
        notices = listener.take()
        listener.close()

    assert [notice.topic for notice in notices] == [
        "ours/worker.online", "ours/worker.heartbeat", "ours/worker.offline",
    ]  # fmt: skip
    for notice in notices:
        assert notice.payload.keys() == GOLDEN[notice.payload["type"]]["event"].keys()
        assert notice.headers == {"hostname": "w1@h"}
    assert [notice.payload["clock"] for notice in notices] == [1, 2, 3]


def test_a_heart_that_is_not_wanted_keeps_silent():
    with Umbel("proj", broker=f"memory://{uuid4().hex}", set_as_current=False) as app:
        listener = app.broker.bus.listen(["ours/*"])
        heart = Heart(
            bus=app.broker.bus,
            quiet=threading.Lock(),
            clock=LamportClock(),
            node="w1@h",
            exchange="ours",
            interval=0.01,
            tally=Tally(Board(1).places),
            wanted=lambda: False,
        )
        heart.start()
        heart.stop()
        heart.join(10)

        assert listener.take() == []
        listener.close()
