from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from umbel.waker import Waker, readable

LONG = 10.0


@pytest.fixture
def waker():
    with closing(Waker()) as made:
        yield made


def test_nothing_is_readable_before_somebody_wakes(waker):
    assert readable((waker.fd,), 0.01) == []


def test_a_thread_wakes_another(waker):
    timer = threading.Timer(0.03, waker.set)
    timer.start()
    start = time.monotonic()
    assert readable((waker.fd,), LONG) == [waker.fd]
    assert time.monotonic() - start < LONG / 2
    timer.join()


def test_a_signal_handler_wakes(waker):
    before = signal.signal(signal.SIGUSR1, lambda *_: waker.set())
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert readable((waker.fd,), LONG) == [waker.fd]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_waking_many_times_is_as_good_as_once(waker):
    for _ in range(100_000):
        waker.set()
    assert readable((waker.fd,), 0) == [waker.fd]
    waker.clear()
    assert readable((waker.fd,), 0) == []


def test_of_several_descriptors_those_that_are_ready_are_told(waker):
    with closing(Waker()) as other:
        other.set()
        assert readable((waker.fd, other.fd), LONG) == [other.fd]


def test_a_closed_waker_writes_to_no_file_that_has_its_number_now():
    waker = Waker()
    waker.close()
    reading, writing = os.pipe()
    try:
        waker.set()
        assert readable((reading,), 0) == []
    finally:
        os.close(reading)
        os.close(writing)


def test_a_forgotten_waker_leaves_no_descriptors_behind():
    def opened():
        return len(list(Path("/proc/self/fd").iterdir()))

    before = opened()
    for _ in range(10):
        Waker()
    closed_twice = Waker()
    closed_twice.close()
    closed_twice.close()
    assert opened() == before
