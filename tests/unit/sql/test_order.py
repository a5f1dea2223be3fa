"""In which order messages run that were taken together; what loans are called."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from umbel.brokers.sql.rows import name_loan, parse_loan
from umbel.brokers.sql.step import in_order


def taken(*items):
    """(queue, priority) in the order of their age."""
    found = [(priority, age, queue, b"") for age, (queue, priority) in enumerate(items)]
    Random(3).shuffle(found)
    return found


def order(items, queues):
    return [age for _, age, _, _ in in_order(taken(*items), queues)]


def test_one_queue_is_first_in_first_out():
    assert order([("a", 0)] * 4, ["a"]) == [0, 1, 2, 3]


def test_higher_priorities_go_first():
    assert order([("a", 0), ("a", 5), ("a", 9), ("a", 5)], ["a"]) == [2, 1, 3, 0]


def test_queues_take_turns():
    items = [("a", 0), ("a", 0), ("a", 0), ("b", 0), ("c", 0), ("b", 0)]
    assert order(items, ["b", "c", "a"]) == [3, 4, 0, 5, 1, 2]


def test_queues_take_turns_within_each_priority():
    items = [("a", 0), ("a", 3), ("b", 0), ("b", 3), ("a", 3)]
    assert order(items, ["a", "b"]) == [1, 3, 4, 0, 2]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=40))
def test_nothing_is_lost_and_each_queue_keeps_its_order(items):
    found = in_order(taken(*items), ["c", "a", "b"])
    assert sorted(age for _, age, _, _ in found) == list(range(len(items)))
    assert [priority for priority, *_ in found] == sorted((p for _, p in items), reverse=True)
    for queue in "abc":
        for priority in range(10):
            ages = [age for p, age, q, _ in found if (p, q) == (priority, queue)]
            assert ages == sorted(ages)


@given(st.integers(1, 2**63 - 1), st.integers(0, 2**63 - 1), st.integers(1, 2**63 - 1))
def test_a_loan_is_found_by_its_name(number, loan, message):
    assert parse_loan(name_loan(number, loan, message)) == (number, loan, message)


def test_a_name_that_is_none_of_ours_is_no_loan():
    for name in ("", "a/b/c", "1/2", "1/2/3/4", "memory:7"):
        assert parse_loan(name) == (0, 0, 0)
