"""The file itself: who may read it, and what is said when it cannot be used."""

from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.integration.sqlite.processes import Child, child

from umbel.brokers.base import Settlement, Verdict
from umbel.brokers.sql.broker import SqlBroker
from umbel.drivers.sql import open_driver, schema
from umbel.exceptions import ImproperlyConfigured, OperationalError
from umbel.testing.conformance.steps import ids, receive
from umbel.testing.messages import message, messages


def test_the_file_and_its_companions_belong_to_their_owner_alone(path, broker):
    broker.publish([message()])
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == [path.name, f"{path.name}-shm", f"{path.name}-wal"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_missing_directory_is_named(tmp_path):
    broker = SqlBroker(f"sqlite:///{tmp_path}/nowhere/umbel.db")
    with pytest.raises(OperationalError, match=f"directory {tmp_path}/nowhere: No such file"):
        broker.publish([message()])
    (tmp_path / "nowhere").mkdir()
    broker.publish([message()])
    broker.close()


def test_a_file_that_is_no_database_is_left_alone(path, broker):
    path.write_bytes(b"dear diary, " * 1000)
    with pytest.raises(ImproperlyConfigured, match=f"{path} is not an SQLite database"):
        broker.publish([message()])
    assert path.read_bytes() == b"dear diary, " * 1000


@pytest.mark.parametrize("mode", [0o755, 0o700], ids=["read-only", "hidden"])
def test_a_file_that_may_not_be_written_is_named(mode):
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "umbel.db"
        own = SqlBroker(f"sqlite:///{path}")
        own.publish([message()])
        own.close()
        path.chmod(0o444)
        path.parent.chmod(mode if os.getuid() == 0 else 0o555)

        def publish_as_nobody():
            if os.getuid() == 0:
                os.setuid(65534)
            with pytest.raises(OperationalError, match=f"{path}.*(read-only|ermission denied)"):
                SqlBroker(f"sqlite:///{path}").publish([message()], timeout=0.2)

        with child(publish_as_nobody) as nobody:
            assert nobody.join() == 0
        path.parent.chmod(0o700)


def test_a_full_disk_refuses_the_message_and_harms_nothing(broker):
    kept = messages(3)
    broker.publish(kept)
    with broker.driver.session() as session:
        ((pages,),) = session.fetch("PRAGMA page_count")
        session.fetch(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(OperationalError, match=r"disk that holds .* is full"):
            broker.publish([message(args=("x" * 100_000,))])
        session.fetch("PRAGMA max_page_count = 1000000")
    consumer = broker.consume(["celery"], "after")
    assert ids(receive(consumer, 3)) == ids(kept)
    assert consumer.exchange([], 10).deliveries == []
    consumer.close()


def test_a_file_that_stays_locked_is_an_error_at_the_deadline(path, broker):
    broker.publish([message()])
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    start = time.monotonic()
    with pytest.raises(OperationalError, match="stayed locked by another program"):
        broker.publish([message()], timeout=0.3)
    assert 0.25 < time.monotonic() - start < 1.5
    holder.execute("ROLLBACK")
    broker.publish([message()])
    holder.close()


def test_readers_are_not_hindered_by_a_writer(path, broker):
    broker.publish([message()])
    with broker.driver.transaction():
        other = open_driver(broker.display_url)
        with other.session(0.0) as session:
            assert session.fetch("SELECT count(*) FROM umbel_message") == [(1,)]
        other.close()


def test_many_processes_that_start_at_once_make_one_store(url, broker):
    gate, start = os.pipe()

    def begin(number):
        os.close(start)
        os.read(gate, 1)
        own = SqlBroker(url)
        own.publish(messages(10, id=f"of-{number}"), timeout=20)

    children = [Child(lambda number=number: begin(number)) for number in range(12)]
    os.close(gate)
    os.close(start)
    assert [one.join() for one in children] == [0] * 12
    purged = Counter(ids(broker.admin.purge("celery")))
    assert purged == {f"of-{number}": 10 for number in range(12)}
    with broker.driver.session() as session:
        assert session.fetch("SELECT version FROM umbel_schema") == [(schema.VERSION,)]


def test_the_tables_of_a_newer_umbel_are_not_touched(path, url, broker):
    broker.publish([message()])
    with broker.driver.session() as session:
        session.execute("UPDATE umbel_schema SET version = 999")
    newcomer = SqlBroker(url)
    with pytest.raises(ImproperlyConfigured, match="newer Umbel"):
        newcomer.publish([message()])


def test_a_database_of_an_application_may_hold_the_tables_too(path, broker):
    application = sqlite3.connect(path)
    application.execute("CREATE TABLE orders (id INTEGER)")
    application.close()
    broker.publish([message()])
    assert len(broker.admin.purge("celery")) == 1
    with broker.driver.session() as session:
        assert session.fetch("SELECT count(*) FROM orders") == [(0,)]


# Deleted under a running process ------------------------------------------------------------------


def test_a_file_that_was_deleted_is_begun_anew(path, broker, caplog):
    consumer = broker.consume(["celery"], "steady")
    broker.publish(messages(2))
    (old, _) = receive(consumer, 2)
    for file in path.parent.iterdir():
        file.unlink()
    time.sleep(0.6)  # a connection looks twice a second
    broker.publish([sent := message()])
    assert "was deleted or replaced" in caplog.text
    assert ids(receive(consumer)) == [sent.id]
    settlement = Settlement(delivery=old, verdict=Verdict.ACK)
    assert consumer.exchange([settlement], 0).refused == [settlement]
    consumer.close()


def test_remains_of_a_deleted_file_are_not_taken_for_those_of_the_new_one(path, url, broker):
    readable, writable = os.pipe()
    released, release = os.pipe()

    def carry_on():
        own = SqlBroker(url)
        own.publish(messages(200))
        os.write(writable, b"!")
        os.read(released, 1)
        time.sleep(0.6)
        own.publish([message(id="by the old process")])

    with child(carry_on) as old:
        os.read(readable, 1)
        path.unlink()
        assert len(list(path.parent.iterdir())) == 2
        broker.publish([message(id=f"new-{number}") for number in range(50)])
        os.write(release, b"!")
        assert old.join() == 0
    expected = [*(f"new-{number}" for number in range(50)), "by the old process"]
    assert ids(broker.admin.purge("celery")) == expected
    with broker.driver.session() as session:
        assert session.fetch("PRAGMA integrity_check") == [("ok",)]
    for fd in (readable, writable, released, release):
        os.close(fd)


def test_a_process_that_used_the_deleted_file_does_no_harm_when_it_ends(path, url, broker):
    readable, writable = os.pipe()

    def linger():
        own = SqlBroker(url)
        own.publish([message("old")])
        os.write(writable, b"!")
        os.read(released, 1)
        own.close()

    released, release = os.pipe()
    with child(linger) as lingering:
        os.read(readable, 1)
        for file in path.parent.iterdir():
            file.unlink()
        broker.publish([sent := message()])
        os.write(release, b"!")
        assert lingering.join() == 0
    other = SqlBroker(url)
    assert ids(other.admin.purge("celery")) == [sent.id]
    other.close()
    for fd in (readable, writable, released, release):
        os.close(fd)


# Space ----------------------------------------------------------------------------------------------


def test_space_is_given_back_little_by_little_while_nothing_happens(path, broker):
    body = b"x" * 3000
    for _ in range(20):
        broker.publish([message(body=body) for _ in range(500)], timeout=30)
    while broker.admin.purge("celery", 5000):
        pass
    with broker.driver.session() as session:
        ((before,),) = session.fetch("PRAGMA page_count")
        assert before > 8000
        broker.driver.reclaim()
        ((after,),) = session.fetch("PRAGMA page_count")
        assert 100 <= before - after <= 1000
        for _ in range(40):
            broker.driver.reclaim()
        ((rest,),) = session.fetch("PRAGMA page_count")
        assert rest < 5000
        assert session.fetch("PRAGMA integrity_check") == [("ok",)]
