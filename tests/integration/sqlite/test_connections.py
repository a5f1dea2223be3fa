"""Connections: one for each thread, given back whatever happens."""

from __future__ import annotations

import gc
import signal
import threading
import time

import pytest

from umbel.exceptions import OperationalError
from umbel.testing.conformance.steps import eventually, ids
from umbel.testing.messages import message, messages


def test_each_thread_has_its_own_connection_and_closes_it_when_it_ends(broker):
    broker.publish([message()])
    before = len(broker.driver._connections)
    threads = [threading.Thread(target=broker.publish, args=([message()],)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    del threads, thread
    assert before == 1
    assert eventually(lambda: len(broker.driver._connections) == 1)
    assert len(broker.admin.purge("celery")) == 6


def test_closing_closes_the_connections_of_every_thread(path, broker):
    broker.publish([message()])
    opened, finish = threading.Event(), threading.Event()

    def hold():
        broker.publish([message()])
        opened.set()
        finish.wait(10)
        broker.publish([message()])

    thread = threading.Thread(target=hold)
    thread.start()
    opened.wait(10)
    broker.close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    finish.set()
    thread.join()
    assert len(broker.admin.purge("celery")) == 3


def test_a_signal_handler_that_sends_within_a_transaction_is_refused(broker):
    """Its message would be rolled back with the transaction that it interrupted."""
    broker.publish(kept := messages(2))
    errors = []

    def handler(*_):
        try:
            broker.publish([message()])
        except OperationalError as error:
            errors.append(error)

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with broker.driver.transaction():
            signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(errors) == 1
    assert "signal handler" in str(errors[0])
    purged = ids(broker.admin.purge("celery"))
    assert purged[:2] == ids(kept)
    assert len(purged) == 3


class TimeIsUp(Exception):
    """As a soft time limit: raised between any two steps of the interpreter."""


def test_exceptions_at_any_moment_leave_no_transaction_open(broker):
    broker.publish([message()])
    interrupted = 0
    gc.collect()
    gc.disable()  # what the exception meets in a finalizer is only reported

    def interrupt(*_):
        raise TimeIsUp

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for number in range(1500):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.00002 + (number % 100) * 0.000004)
                with broker.driver.transaction() as session:
                    session.execute("UPDATE umbel_message SET note = 'x'")
                broker.publish([message()])
                signal.setitimer(signal.ITIMER_REAL, 0)
            except TimeIsUp:
                interrupted += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.enable()
    assert interrupted > 100
    broker.publish([message()])  # puts right what was left
    others = []

    def publish_elsewhere():
        started = time.monotonic()
        broker.publish([message()])
        others.append(time.monotonic() - started)

    thread = threading.Thread(target=publish_elsewhere)
    thread.start()
    thread.join()
    assert len(others) == 1, "the file stayed locked"
    (connection,) = broker.driver._connections
    assert connection.leases == []


def test_leaving_a_transaction_by_an_error_undoes_it(broker):
    broker.publish([message()])
    with pytest.raises(ZeroDivisionError), broker.driver.transaction() as session:
        session.execute("DELETE FROM umbel_message")
        raise ZeroDivisionError
    assert len(broker.admin.purge("celery")) == 1
