"""Being woken: by the kernel when the log is written, or by looking often where it gives no notice."""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from statistics import median

import pytest
from tests.integration.sqlite.processes import child

from umbel.brokers.base import Settlement, Verdict
from umbel.brokers.sql.broker import SqlBroker
from umbel.drivers.sql import sqlite_watch
from umbel.drivers.sql.sqlite_watch import LogNotice
from umbel.testing.conformance.steps import receive
from umbel.testing.messages import message, record
from umbel.waker import readable

DESCRIPTORS = Path("/proc/self/fd")

noticing = pytest.mark.skipif(sqlite_watch._libc is None, reason="this kernel has no inotify")


@pytest.fixture(params=[pytest.param("notice", marks=noticing), "looking"])
def way(request, monkeypatch):
    """Both ways of being woken."""
    if request.param == "looking":
        monkeypatch.setattr(sqlite_watch, "_libc", None)
    return request.param


def test_another_process_wakes_within_moments(way, url, broker):
    consumer = broker.consume(["celery"], "waiting")
    readable, writable = os.pipe()

    def publish():
        own = SqlBroker(url)
        own.attended()
        while os.read(readable, 1) == b"!":
            time.sleep(0.02)
            own.publish([message(args=(time.time(),), due=time.time())])

    delays = []
    with child(publish):
        for _ in range(15):
            assert consumer.exchange([], 1).deliveries == []
            os.write(writable, b"!")
            (delivery,) = receive(consumer)
            delays.append(time.time() - delivery.message.due)
            consumer.exchange([], 0)
    os.close(readable)
    os.close(writable)
    assert median(delays) < 0.03
    consumer.close()


def test_what_the_waiter_did_itself_does_not_wake_it(way, broker):
    consumer = broker.consume(["elsewhere"], "waiting")
    broker.publish([message(), message()])
    taken = broker.consume(["celery"], "other")
    receive(taken, 1)
    consumer.exchange([], 1)
    start = time.monotonic()
    consumer.wait(0.2)
    assert time.monotonic() - start > 0.19
    consumer.close()
    taken.close()


def test_a_message_of_the_same_thread_is_not_overlooked(way, broker):
    consumer = broker.consume(["celery"], "solo")
    assert consumer.exchange([], 1).deliveries == []
    broker.publish([message()])
    start = time.monotonic()
    consumer.wait(10)
    assert time.monotonic() - start < 2
    assert len(receive(consumer)) == 1
    consumer.close()


def test_news_are_told_once(way, url, broker):
    consumer = broker.consume(["celery"], "waiting")
    assert consumer.exchange([], 1).deliveries == []
    other = SqlBroker(url)
    other.publish([message(queue="elsewhere")])
    consumer.wait(5)
    start = time.monotonic()
    consumer.wait(0.2)
    assert time.monotonic() - start > 0.19
    consumer.close()
    other.close()


def test_who_cannot_take_more_is_not_told_of_what_is_there(way, broker):
    consumer = broker.consume(["celery"], "busy")
    broker.publish([message() for _ in range(5)])
    receive(consumer, 2)
    consumer.exchange([], 0)
    start = time.monotonic()
    consumer.wait(0.2)
    assert time.monotonic() - start > 0.19
    consumer.close()


def test_settling_does_not_wake_who_cannot_take_more(way, broker):
    consumer = broker.consume(["celery"], "busy")
    broker.publish([message() for _ in range(5)])
    (delivery,) = receive(consumer)
    consumer.exchange([Settlement(delivery=delivery, verdict=Verdict.ACK)], 0)
    start = time.monotonic()
    consumer.wait(0.2)
    assert time.monotonic() - start > 0.19
    consumer.close()


def test_waiting_costs_less_than_half_a_percent_of_a_core(broker, backend):
    consumer = broker.consume(["celery"], "idle", backend)
    assert consumer.exchange([], 1).deliveries == []
    consumer.wait(1.2)  # the liveliness after the start is over
    before = resource.getrusage(resource.RUSAGE_THREAD)
    for _ in range(3):
        consumer.wait(1.0)
        assert consumer.exchange([], 1).deliveries == []
    after = resource.getrusage(resource.RUSAGE_THREAD)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent < 3 * 0.005
    consumer.close()


@noticing
def test_a_notice_that_never_comes_is_not_relied_upon(url, broker, monkeypatch):
    """As on file systems that do not tell."""
    monkeypatch.setattr(sqlite_watch, "_IN_MODIFY", 0x400)  # deletion instead of modification
    consumer = broker.consume(["celery"], "waiting")
    other = SqlBroker(url)
    other.attended()
    delays = []
    for _ in range(12):
        assert consumer.exchange([], 1).deliveries == []
        published_at = []

        def publish(published_at=published_at):
            published_at.append(time.monotonic())
            other.publish([message()])

        timer = threading.Timer(0.03, publish)
        timer.start()
        receive(consumer)
        delays.append(time.monotonic() - published_at[0])
        timer.join()
    assert median(delays[4:]) < 0.03
    consumer.close()
    other.close()


@noticing
def test_a_wait_leaves_no_descriptor_behind(backend):
    backend.store(record("task-1", "STARTED"))
    before = len(list(DESCRIPTORS.iterdir()))
    for _ in range(5):
        assert backend.wait("task-1", 0.01) is None
    assert len(list(DESCRIPTORS.iterdir())) == before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's notice is Linux's")
def test_a_log_that_was_made_anew_is_watched_again_also_under_the_same_number(tmp_path):
    log = tmp_path / "queue.db-wal"
    log.write_bytes(b"first")
    with closing(LogNotice(tmp_path / "queue.db")) as notice:
        assert notice.arm()
        assert notice.clear()
        log.unlink()
        log.write_bytes(b"second")

        assert not notice.clear()
        assert notice.arm()
        assert notice.clear()
        log.write_bytes(b"third")
        assert readable((notice.fd,), 5.0) == [notice.fd]
