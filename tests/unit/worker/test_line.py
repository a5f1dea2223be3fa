"""What a supervisor and its children say to each other."""

import select
import socket
import threading
import time

import msgspec
import pytest

from umbel.worker.board import Board
from umbel.worker.line import Line, Lines, Order


@pytest.fixture
def pair():
    """A supervisor's lines with one child, 7, and the child's line."""
    own, others = socket.socketpair()
    lines, line = Lines(), Line(Board(1).places[0], others)
    lines.add(7, own)
    yield lines, line
    lines.disown()


class Child(threading.Thread):
    """Answers every order with its name and arguments, after ``pause`` seconds."""

    def __init__(self, line, pause=0.0):
        super().__init__(daemon=True)
        self.line = line
        self.pause = pause
        self.heard = []

    def run(self):
        while not self.line.draining:
            for order in self.line.read():
                self.heard.append(order)
                time.sleep(self.pause)
                self.line.answer(order, [order.name, order.arguments])
            time.sleep(0.001)


def test_a_child_told_to_drain_drains(pair):
    lines, line = pair
    assert not line.read()
    assert not line.draining

    lines.drain(7)
    assert not line.read()

    assert line.draining
    assert not line.orphaned


def test_a_child_that_does_not_listen_has_to_be_told_to_drain_again(pair):
    lines, line = pair
    while lines.drain(7):  # until no more fits in
        pass
    began = time.monotonic()
    assert not lines.drain(7)
    assert time.monotonic() - began < 0.5, "the supervisor has other children to look after"

    while not line.draining:
        line.read()
    assert lines.drain(7)


def test_nothing_is_said_in_the_middle_of_a_line(pair):
    lines, line = pair
    question = threading.Thread(target=lines.tell, args=("long",), kwargs={"text": "x" * 1_000_000})
    question.start()
    while not select.select([line.fd], [], [], 0)[0]:
        pass
    assert not lines.drain(7)
    orders = []
    while not orders:
        orders = line.read()
    question.join()

    assert lines.drain(7)
    line.read()
    assert (orders[0].name, line.draining) == ("long", True)


def test_a_child_whose_supervisor_died_drains_as_an_orphan_and_stays_quiet(pair):
    lines, line = pair
    lines.remove(7)
    line.read()

    assert line.draining
    assert line.orphaned
    line.read()  # the socket that took its place has nothing to say
    assert line.orphaned


def test_a_solo_worker_drains_by_its_own_word():
    line = Line(Board(1).places[0])
    line.drain()
    line.read()

    assert line.draining
    assert not line.orphaned


def test_orders_arrive_whole_and_in_order(pair):
    lines, line = pair
    for number in range(51):
        lines.tell("count", number=number, text="x" * 3000 if number % 10 == 0 else "")
        if number % 7 == 0:
            _take(line, number)
    rest = line.read()
    assert rest[-1].arguments["number"] == 50


def _take(line, number):
    orders = line.read()
    assert orders[-1] == Order(
        "count", {"number": number, "text": "x" * 3000 if number % 10 == 0 else ""}
    )


def test_a_question_is_answered(pair):
    lines, line = pair
    child = Child(line)
    child.start()

    assert lines.ask("add", timeout=10, x=1, y="ü") == [["add", {"x": 1, "y": "ü"}]]
    lines.tell("tidy")
    assert lines.ask("again", timeout=10) == [["again", {}]]
    assert [order.name for order in child.heard] == ["add", "tidy", "again"]
    lines.drain(7)
    child.join(10)


def test_a_child_that_is_too_late_is_left_out_and_its_answer_is_not_taken_for_another(pair):
    lines, line = pair
    child = Child(line, pause=0.3)
    child.start()

    assert lines.ask("first", timeout=0.05) == []
    assert lines.ask("second", timeout=10) == [["second", {}]]
    lines.drain(7)
    child.join(10)


def test_answers_larger_than_what_a_socket_holds_arrive(pair):
    lines, line = pair
    Child(line).start()

    [[_, arguments]] = lines.ask("echo", timeout=20, text="y" * 150_000)
    [[_, twice]] = lines.ask("echo", timeout=20, text=arguments["text"] * 10)
    assert twice["text"] == "y" * 1_500_000
    lines.drain(7)


def test_a_child_that_died_is_not_waited_for(pair):
    lines, line = pair
    line._be_orphaned()
    began = time.monotonic()

    assert lines.ask("anything", timeout=5) == []
    assert time.monotonic() - began < 4


def test_in_one_process_orders_are_carried_out_at_once():
    lines = Lines()
    lines.own = lambda order: order.name.upper()

    assert lines.ask("ping") == ["PING"]


def test_what_a_process_says_in_the_end_is_kept(pair):
    lines, line = pair
    line.say_farewell({"add": 3})
    lines.remove(7)

    assert lines.totals == {"add": 3}


def test_two_threads_that_read_do_not_each_get_half_of_a_line(pair):
    lines, line = pair
    heard = []

    def hear():
        while (arrived := line._end.read()) is not None:
            heard.extend(arrived)

    listeners = [threading.Thread(target=hear, daemon=True) for _ in range(2)]
    for listener in listeners:
        listener.start()
    for number in range(20):
        lines.tell("long", number=number, text="x" * 100_000)
    lines.remove(7)
    for listener in listeners:
        listener.join(10)

    read = {msgspec.json.decode(one)["arguments"]["number"] for one in heard}
    assert read == set(range(20))


def test_a_child_that_leaves_while_it_is_asked_is_left_out(pair):
    lines, line = pair
    answers = []
    question = threading.Thread(target=lambda: answers.append(lines.ask("anything", timeout=0.3)))
    question.start()
    while not line.read():
        pass
    lines._ends[7].close()  # as when it is buried; who asks has looked it up before
    question.join(10)

    assert answers == [[]]
