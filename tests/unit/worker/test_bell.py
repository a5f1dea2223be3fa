"""The bell that wakes sleeping processes when the one that watches has got work."""

import os
import time
from typing import NoReturn

import pytest

from umbel.waker import readable
from umbel.worker.bell import Bell


@pytest.fixture(params=["timer", "pipe"])
def bell(request, monkeypatch) -> Bell:
    if request.param == "pipe":  # as where the system has no such timers
        monkeypatch.setattr("umbel.worker.bell._LIBC", None)
    return Bell()


def test_a_bell_rings_once_it_is_due(bell):
    bell.ring_in(0.001)

    assert readable((bell.fd,), 5) == [bell.fd]
    assert bell.answer()
    assert not bell.answer(), "it has stopped"
    assert readable((bell.fd,), 0) == []


def test_a_silenced_bell_does_not_ring(bell):
    bell.ring_in(0.001)
    bell.silence()

    assert readable((bell.fd,), 0.02) == []
    assert not bell.answer()


def test_a_bell_that_rings_already_can_be_silenced(bell):
    bell.ring_in(0)
    assert readable((bell.fd,), 5) == [bell.fd]
    bell.silence()

    assert not bell.answer()


def test_a_timer_waits_for_its_moment():
    bell = Bell()
    began = time.monotonic()
    bell.ring_in(1.05)

    assert readable((bell.fd,), 5) == [bell.fd]
    assert time.monotonic() - began >= 1.05


def test_of_several_processes_that_hear_it_one_answers(bell):
    telling_read, telling = os.pipe()
    go, start = os.pipe()
    children = [os.fork() or _listen(bell, telling, go, start) for _ in range(4)]
    bell.ring_in(0.05)
    assert _read(telling_read, 4) == b"hhhh", "all have heard it"
    os.close(go)
    os.close(start)
    answers = _read(telling_read, 4)
    for pid in children:
        os.waitpid(pid, 0)

    assert sorted(answers) == sorted(b"0001")


def _listen(bell: Bell, telling: int, go: int, start: int) -> NoReturn:
    os.close(start)
    heard = readable((bell.fd,), 5)
    os.write(telling, b"h" if heard else b"-")
    os.read(go, 1)
    os.write(telling, b"1" if bell.answer() else b"0")
    os._exit(0)


def _read(fd: int, count: int) -> bytes:
    found = b""
    while len(found) < count:
        found += os.read(fd, count - len(found))
    return found
