"""Bounded text for any value."""

from __future__ import annotations

import ast
import timeit
from collections import OrderedDict, deque

import pytest
from hypothesis import given
from hypothesis import strategies as some

from umbel.message.representation import represent


class Broken:
    def __repr__(self):
        raise RuntimeError("no")


class Lying:
    def __repr__(self):
        return 5


class Control:
    def __repr__(self):
        return "a\x1b[31m\nb\ud800é"


class Meta(type):
    @property
    def __name__(cls):
        raise RuntimeError("no name")


class Nameless(metaclass=Meta):
    def __repr__(self):
        raise RuntimeError("no")


class Loud(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "value",
    [
        (), (2, 3), (1,), [], [1], {}, {"a": 1}, set(), {1}, frozenset(), frozenset({1}), None, True,
        1.5, "it's", 'say "hi"', b"\xff", {"a": [1, (2, 3)]}, OrderedDict(a=1), Loud("x"),
        deque([1]), "é☃", list(range(100)), {str(n): n for n in range(30)},
    ],
    ids=repr,
)  # fmt: skip
def test_a_small_value_is_shown_as_python_shows_it(value):
    assert represent(value) == repr(value)


def test_nesting_is_shown_three_levels_deep():
    assert represent([[[["deep"]]]]) == "[[[[...]]]]"
    assert represent({"a": {"b": {"c": {"d": 1}}}}) == "{'a': {'b': {'c': {...}}}}"
    ring: list[object] = []
    ring.append(ring)
    assert represent(ring) == "[[[[...]]]]"


def test_long_values_are_cut_and_still_show_their_ends():
    assert represent(["x" * 50], 20) == "['" + "x" * 15 + "..."
    assert len(represent(list(range(10_000)), 100)) <= 100
    assert represent("x" * 5000, 10).startswith("'xxx")


def test_a_broken_repr_is_named_by_its_type():
    assert represent(Broken()) == "<Unrepresentable 'Broken' object>"
    assert represent([1, Lying()]) == "[1, <Unrepresentable 'Lying' object>]"
    assert represent(Nameless()) == "<Unrepresentable '?' object>"


def test_control_characters_and_surrogates_of_a_foreign_repr_are_made_harmless():
    text = represent(Control())
    assert text == "a\\x1b[31m b\\ud800é"
    text.encode()


def test_an_integer_above_the_digit_limit_is_described():
    assert represent(10**5000) == "<int of 16610 bits>"
    assert represent((10**5000,)) == "(<int of 16610 bits>,)"


@pytest.mark.parametrize(
    "value",
    [
        "x" * 20_000_000,
        b"x" * 20_000_000,
        [0] * 5_000_000,
        [["x" * 1000] * 1000] * 1000,
        dict.fromkeys(range(1_000_000)),
        set(range(1_000_000)),
        deque(range(1_000_000)),
        OrderedDict.fromkeys(range(300_000)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_work_is_bounded_for_huge_values(value):
    took = min(timeit.repeat(lambda: represent(value), number=1, repeat=5))
    assert 0 < len(represent(value)) <= 1024
    assert took < 0.01  # repr() of each takes many times as long


def test_a_large_container_with_its_own_repr_is_described_by_its_size():
    assert represent(deque(range(2000))) == "<collections.deque of 2000 items>"


def test_sensitive_names_are_masked_at_every_level():
    value = {"user": "ann", "password": "hunter2", "deep": [{"password": ["hunter2"]}]}
    text = represent(value, sensitive={"password"})
    assert text == "{'user': 'ann', 'password': '***', 'deep': [{'password': '***'}]}"
    assert "hunter2" not in text
    assert represent({"password": "x"}) == "{'password': 'x'}"


anything = some.recursive(
    some.none()
    | some.integers()
    | some.floats()
    | some.text(some.characters(categories=None))
    | some.binary()
    | some.builds(Broken)
    | some.builds(Control),
    lambda inner: (
        some.lists(inner)
        | some.dictionaries(some.text() | some.integers(), inner)
        | some.tuples(inner, inner)
    ),
)


@given(anything, some.integers(0, 200))
def test_any_value_gives_text_of_at_most_the_limit_that_can_be_encoded(value, limit):
    text = represent(value, limit)
    assert len(text) <= limit
    text.encode()


@given(
    some.lists(some.integers() | some.text(max_size=20) | some.none()).map(tuple),
)
def test_small_arguments_can_be_read_back(value):
    assert ast.literal_eval(represent(value, 10**6)) == value
