"""The bus of an SQLite file: notices are kept for a minute, and numbers never go back."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest

from umbel.brokers.sql import bus as sql_bus
from umbel.brokers.sql.broker import SqlBroker
from umbel.testing.conformance.broker_bus import hear
from umbel.testing.messages import message


@pytest.fixture
def broker(tmp_path):
    with closing(SqlBroker(f"sqlite:///{tmp_path}/umbel.sqlite3")) as opened:
        yield opened


def rows(broker):
    with broker.driver.session() as session:
        return [row for (row,) in session.fetch("SELECT payload FROM umbel_notice ORDER BY id")]


def make_old(broker):
    with broker.driver.session() as session:
        session.execute("UPDATE umbel_notice SET moment_ms = moment_ms - 61000")


def test_old_notices_are_deleted_but_for_the_last(broker, monkeypatch):
    monkeypatch.setattr(sql_bus, "_PRUNE_EVERY", 0.0)
    for number in range(5):
        broker.bus.publish("a", number)
    assert len(rows(broker)) == 5
    make_old(broker)
    with closing(broker.bus.listen(["a"])) as listener:
        broker.bus.publish("a", "new")
        assert rows(broker) == ['"new"']
        assert hear(listener)[0].payload == "new"
        make_old(broker)
        broker.bus.publish("a", "newer")
        assert rows(broker) == ['"newer"']
        assert hear(listener)[0].payload == "newer"


def test_many_old_notices_are_deleted_in_parts(broker, monkeypatch):
    for _ in range(30):
        broker.bus.publish("a", 0)
    make_old(broker)
    monkeypatch.setattr(sql_bus, "_PRUNE_EVERY", 0.0)
    monkeypatch.setattr(sql_bus, "_MOST", 20)
    broker.bus._prune_at = 0.0
    broker.bus.publish("a", 1)
    assert len(rows(broker)) == 11
    broker.bus.publish("a", 2)
    assert len(rows(broker)) == 2


def test_pruning_is_rare(broker):
    broker.bus.publish("a", 1)
    make_old(broker)
    broker.bus.publish("a", 2)
    assert len(rows(broker)) == 2


def test_a_listener_goes_on_with_the_file_that_took_the_place_of_the_old_one(broker, tmp_path):
    for number in range(5):
        broker.bus.publish("a", number)
    with closing(broker.bus.listen(["a"])) as listener:
        for file in tmp_path.iterdir():
            file.unlink()
        deadline = time.monotonic() + 10
        heard = []
        while not heard:
            assert time.monotonic() < deadline
            broker.bus.publish("a", "new")
            listener.wait(0.2)
            heard = listener.take()
        assert heard[0].payload == "new"


def test_a_listener_seldom_looks_while_others_commit_all_the_time(broker):
    with closing(broker.bus.listen(["a"])) as listener:
        looks = []
        look = listener._look
        listener._look = lambda: (looks.append(1), look())
        waiting = threading.Thread(target=listener.wait, args=(0.6,))
        waiting.start()
        commits = 0
        while waiting.is_alive():
            broker.publish([message()])
            commits += 1
        waiting.join()
    assert commits > 4 * len(looks)
    assert len(looks) < 60
