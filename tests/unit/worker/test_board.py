"""What a supervisor can read of its children, and what a child can hear of its supervisor."""

import os
import time

from umbel.worker.board import Board


def test_a_parent_reads_what_its_child_runs_after_the_child_is_gone():
    board = Board(2)
    pid = os.fork()
    if pid == 0:
        board.places[1].sign("node/1/abc")
        board.places[1].slots[0].begin("node/1/abc/7:0", "id-7", time.monotonic())
        os._exit(0)
    os.waitpid(pid, 0)

    assert board.places[1].consumer_id == "node/1/abc"
    assert board.places[1].slots[0].loan == "node/1/abc/7:0"
    assert board.places[1].slots[0].started > 0
    assert board.places[0].consumer_id == ""


def test_an_ended_job_leaves_no_loan_behind():
    [slot] = Board(1).places[0].slots
    slot.begin("loan", "id", 5.0)
    slot.end()

    assert slot.loan == ""
    assert slot.started == 0


def test_the_longest_names_fit():
    place = Board(1).places[0]
    [slot] = place.slots
    place.sign("n" * 126)
    slot.begin("l" * 238, "i" * 98, 1.0)

    assert place.consumer_id == "n" * 126
    assert slot.loan == "l" * 238


def test_a_new_process_finds_its_place_empty():
    place = Board(1).places[0]
    [slot] = place.slots
    place.sign("old")
    slot.begin("loan", "id", 1.0)
    slot.limit(9.0, 2.0)
    place.announce(ready=True)
    place.clear()

    assert (place.consumer_id, slot.loan, slot.hard_limit, place.ready) == (
        "",
        "",
        (0.0, 0.0),
        False,
    )


def test_of_several_idle_processes_one_watches_for_messages():
    first, second, third = Board(3).places

    assert second.rest()
    assert not third.rest()
    assert not first.rest()


def test_the_one_that_watched_hears_that_others_sleep_when_it_has_work():
    first, second = Board(2).places
    assert first.rest()
    assert not first.rise(), "nobody else sleeps"

    assert first.rest()
    assert not second.rest()
    assert first.rise(), "the other one sleeps, so somebody must wake it"
    assert second.rest(), "and then it watches"
    assert not first.rest()


def test_a_place_that_was_cleared_watches_no_more():
    first, second = Board(2).places
    assert first.rest()
    first.clear()

    assert second.rest()


def test_a_place_tells_what_all_its_slots_run():
    first, second = Board(2, slots_each=3).places
    first.slots[0].begin("loan a", "id a", 1.0)
    first.slots[2].begin("loan c", "id c", 2.0)
    first.slots[2].limit(9.0, 7.0)
    second.slots[1].begin("loan x", "id x", 3.0)
    second.slots[1].acknowledge("x")

    assert first.running == {"loan a", "loan c"}
    assert first.limited
    assert first.overdue(8.9) == ("", 0.0)
    assert first.overdue(9.0) == ("loan c", 7.0)
    assert second.running == {"loan x"}
    assert second.acknowledged == {"x"}
    assert not second.limited
