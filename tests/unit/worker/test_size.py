"""How many processes a worker is to have, and which of its places get one."""

import pytest

from umbel.worker.board import Board
from umbel.worker.size import Refusal, Size
from umbel.worker.vacancies import Vacancies


@pytest.fixture
def changes():
    return []


@pytest.fixture
def make(changes):
    return lambda wanted, **more: Size(
        wanted, room=10, changed=lambda: changes.append("changed"), **more
    )


def test_it_grows_and_shrinks_and_says_that_it_changed(make, changes):
    size = make(2)
    size.grow(3)
    size.shrink(4)

    assert size.wanted == 1
    assert len(changes) == 2


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        (lambda size: size.shrink(2), "one process has to stay"),
        (lambda size: size.grow(9), "there is room for 10 processes"),
        (lambda size: size.grow(0), "a number above 0"),
        (lambda size: size.shrink(-1), "a number above 0"),
        (lambda size: size.grow("1"), "'1' is not a whole number"),
        (lambda size: size.grow(True), "True is not a whole number"),
        (lambda size: size.bound(3, 1), "Autoscale not enabled"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(make, changes, wish, why):
    size = make(2)
    with pytest.raises(Refusal, match=why):
        wish(size)

    assert size.wanted == 2
    assert not changes


def test_who_is_scaled_stays_within_bounds(make):
    size = make(2, bounds=(2, 5))

    assert size.scale(9) == 5
    assert size.scale(-1) == 4
    assert size.scale(-9) == 2


def test_who_is_scaled_is_not_sized_by_hand(make):
    size = make(2, bounds=(2, 5))
    for wish in (size.grow, size.shrink):
        with pytest.raises(Refusal, match="Adjust autoscale range instead"):
            wish(1)

    assert size.wanted == 2


def test_new_bounds_count_at_once(make):
    size = make(4, bounds=(2, 5))

    assert size.bound(3, None) == (2, 3)
    assert size.wanted == 3
    assert size.bound(8, 6) == (6, 8)
    assert size.wanted == 6
    assert size.bound(None, 0) == (1, 8)


@pytest.mark.parametrize(("most", "least"), [(1, None), (11, None), (None, 6), (0, 0), ("4", 1)])
def test_bounds_that_cannot_be_are_refused(make, most, least):
    size = make(4, bounds=(2, 5))
    with pytest.raises(Refusal):
        size.bound(most, least)

    assert size.bounds == (2, 5)


def test_places_that_are_given_up_are_used_again_before_new_ones():
    board = Board(2, room=1)
    vacancies, filled = Vacancies(board), []
    vacancies.fill(lambda place, _failures: bool(filled.append(place)) or True)
    vacancies.give_up(filled.pop())

    assert len(vacancies) == 0
    assert vacancies.add()
    assert vacancies.add()
    assert not vacancies.add(), "the board is full"
    vacancies.fill(lambda place, _failures: bool(filled.append(place)) or True)
    assert {place.number for place in filled} == {1, 2, 3}


def test_a_place_that_is_not_filled_yet_can_be_spared():
    vacancies = Vacancies(Board(2))

    assert vacancies.remove()
    assert len(vacancies) == 1
    assert vacancies.remove()
    assert not vacancies.remove()


def test_a_place_where_processes_die_at_once_stays_empty_for_longer_each_time():
    board = Board(1)
    vacancies, pauses = Vacancies(board), []
    [place] = board.places
    for failures in (0, 1, 2, 3, 20):
        vacancies.clear()
        vacancies.vacate(place, failures=failures, crashed=False)
        vacancies.fill(lambda _place, _failures: True)
        pauses.append(len(vacancies))

    assert pauses == [0, 0, 1, 1, 1], "from the second on there is a pause"


def test_processes_know_of_places_that_were_added_after_their_birth():
    board = Board(1, room=3)
    first = board.places[0]
    assert first.rest()
    added = board.add()

    assert not added.rest(), "the first one watches"
    assert first.rise(), "the added one sleeps"
