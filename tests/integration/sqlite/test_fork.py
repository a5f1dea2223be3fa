"""A process that forks: SQLite's locks belong to the process, so parent and child must each have
connections of their own, opened after the fork."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

from tests.integration.sqlite.processes import Child, child

from umbel.brokers.sql.broker import SqlBroker
from umbel.testing.conformance.steps import ids, receive
from umbel.testing.messages import message, messages


def locks_of(pid, path):
    """How many locks this process really holds on the file."""
    number = f":{path.stat().st_ino} "
    locks = Path("/proc/locks").read_text().splitlines()
    return sum(number in line and f" {pid} " in line for line in locks)


def test_the_child_holds_locks_of_its_own(path, broker):
    broker.publish([message()])
    assert locks_of(os.getpid(), path) > 0

    def look():
        assert locks_of(os.getpid(), path) == 0
        broker.publish([message()])
        assert locks_of(os.getpid(), path) > 0

    with child(look) as one:
        assert one.join() == 0
    broker.publish([message()])
    assert len(broker.admin.purge("celery")) == 3


def test_a_child_goes_on_safely_when_its_parent_ends(url, path, broker):
    """Otherwise the parent, as the last that holds a lock, would remove the log that the child is
    writing to."""
    readable, writable = os.pipe()

    def parent():
        own = SqlBroker(url)
        own.publish(messages(5))

        def orphan():
            own.publish(messages(5))
            os.read(readable, 1)
            for one in messages(100):
                own.publish([one])

        one = Child(orphan)
        own.close()
        os.write(writable, b"!")
        assert one.join() == 0

    with child(parent) as one:
        assert one.join() == 0
    assert len(broker.admin.purge("celery")) == 110
    with broker.driver.session() as session:
        assert session.fetch("PRAGMA integrity_check") == [("ok",)]
    os.close(readable)
    os.close(writable)


def test_forks_beside_busy_threads_lose_nothing(broker):
    stop = threading.Event()
    sent: list[list[str]] = [[], [], []]

    def publish(place):
        while not stop.is_set():
            one = message()
            broker.publish([one], timeout=20)
            sent[place].append(one.id)

    def publish_in_child(number):
        for count in range(20):
            broker.publish([message(id=f"{number}-{count}")], timeout=20)

    threads = [threading.Thread(target=publish, args=(place,)) for place in range(3)]
    for thread in threads:
        thread.start()
    try:
        codes = []
        for number in range(15):
            with child(lambda number=number: publish_in_child(number)) as one:
                codes.append(one.join())
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert codes == [0] * 15
    expected = [one for part in sent for one in part]
    expected += [f"{number}-{count}" for number in range(15) for count in range(20)]
    found = []
    while purged := ids(broker.admin.purge("celery")):
        found += purged
    assert Counter(found) == Counter(expected)


def test_a_consumer_of_the_parent_goes_on_after_a_fork(broker, backend):
    consumer = broker.consume(["celery"], "parent", backend)
    assert consumer.exchange([], 5).deliveries == []
    with child(lambda: broker.publish([message("from the child")])) as one:
        consumer.wait(10)
        (delivery,) = receive(consumer)
        assert one.join() == 0
    assert delivery.message.task == "from the child"
    consumer.close()


def test_a_subprocess_does_not_inherit_the_file(path, broker):
    broker.publish([message()])
    script = (
        "import pathlib; print(*map(pathlib.Path.resolve, pathlib.Path('/proc/self/fd').iterdir()))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, close_fds=False
    ).stdout
    assert path.name not in shown
