"""A logical clock goes forward, after what it hears, and is one for parent and children."""

from __future__ import annotations

import multiprocessing

import pytest

from umbel.events.lamport import LamportClock


def test_each_event_has_a_higher_number():
    clock = LamportClock()

    assert [clock.forward(), clock.forward(), clock.value] == [1, 2, 2]


def test_a_clock_goes_on_after_the_highest_number_that_it_hears():
    clock = LamportClock(5)

    assert (clock.adjust(40), clock.adjust(3), clock.value) == (41, 42, 42)


@pytest.mark.parametrize("foreign", [None, "7", 3.5, True, 2**70, -1, [1]])
def test_what_cannot_be_a_number_of_a_clock_moves_it_by_one(foreign):
    clock = LamportClock(5)

    assert clock.adjust(foreign) == 6


def test_a_forked_process_counts_on_the_same_clock():
    clock = LamportClock(5)
    child = multiprocessing.get_context("fork").Process(target=clock.forward)
    child.start()
    child.join()

    assert clock.forward() == 7


def test_a_clock_shows_its_number():
    assert (str(LamportClock(3)), repr(LamportClock(3))) == ("3", "<LamportClock 3>")
