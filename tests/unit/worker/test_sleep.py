"""How the idle processes of one worker share the watch."""

import threading
import time
from itertools import count

import pytest

from umbel.waker import Waker, readable
from umbel.worker.bell import Bell
from umbel.worker.board import Board
from umbel.worker.line import Line
from umbel.worker.sleep import Sleep


class Process:
    """A thread that sleeps as a process does, and says what happened to it."""

    def __init__(self, place, bell, messages):
        self.waker = Waker()
        self.sleep = Sleep(Line(place, bell=bell), self.waker)
        self.messages = messages
        self.woke = threading.Event()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._live, daemon=True)
        self.thread.start()

    def _live(self):
        """Sleep until there is a message, and then work on it for a long time."""
        while not self.messages.take():
            self.sleep.until(30.0, self._watch)
            if self.ended.is_set():
                return
        self.woke.set()
        self.ended.wait(30)

    def _watch(self, timeout, fds):
        readable((*fds, self.messages.news.fd), timeout)

    def end(self):
        self.ended.set()
        self.waker.set()
        self.thread.join(5)


class Messages:
    """Wakes whoever watches; a message is taken once."""

    def __init__(self):
        self.news = Waker()
        self.waiting = 0
        self.lock = threading.Lock()

    def put(self, number):
        with self.lock:
            self.waiting += number
        self.news.set()

    def take(self):
        with self.lock:
            if not self.waiting:
                self.news.clear()
                return False
            self.waiting -= 1
            return True


@pytest.fixture
def processes():
    made = []

    def make(number):
        board, bell, messages = Board(number), Bell(), Messages()
        made.extend(Process(place, bell, messages) for place in board.places)
        return made, messages, board

    yield make
    for process in made:
        process.end()


def all_idle(board):
    # One watches and all others sleep: nobody else may lie down to watch.
    states = [place.idle for place in board.places]
    return all(states)


def test_a_burst_wakes_one_process_after_the_other(processes):
    made, messages, board = processes(8)
    _await(lambda: all_idle(board))
    began = time.monotonic()
    messages.put(8)

    for process in made:
        assert process.woke.wait(5)
    assert time.monotonic() - began < 0.5, "nobody may wait for a look at the clock"


def test_one_message_wakes_one_process(processes):
    made, messages, board = processes(4)
    _await(lambda: all_idle(board))
    messages.put(1)
    _await(lambda: any(process.woke.is_set() for process in made))

    assert sum(process.woke.is_set() for process in made) == 1


def test_a_sleeper_that_others_overtake_wakes_at_its_own_time():
    place, watcher = Board(2).places
    assert watcher.rest()
    bell, stop = Bell(), threading.Event()

    def disturb():
        for _ in count():
            if stop.is_set():
                return
            bell.ring_in(0)
            bell.silence()

    disturber = threading.Thread(target=disturb, daemon=True)
    disturber.start()
    began = time.monotonic()
    Sleep(Line(place, bell=bell), Waker()).until(0.3, lambda *_: None)
    stop.set()
    disturber.join(5)

    assert time.monotonic() - began < 1.0


def _await(ask):
    end = time.monotonic() + 5
    while not ask():
        assert time.monotonic() < end
        time.sleep(0.001)
