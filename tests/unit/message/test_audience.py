"""Whom a control command is for."""

from __future__ import annotations

import pytest

from umbel.message.audience import Audience

NODES = ("one@east", "two@east", "one@west")


def included(*arguments, **options):
    return [node for node in NODES if Audience(*arguments, **options).includes(node)]


def test_without_any_word_everybody_is_meant():
    assert included() == list(NODES)
    assert included([]) == list(NODES)
    assert Audience().everybody
    assert Audience().form() == {"destination": None, "pattern": None, "matcher": None}


@pytest.mark.parametrize("destination", ["two@east", ["two@east"], ("two@east",), {"two@east"}])
def test_nodes_are_meant_by_name(destination):
    assert included(destination) == ["two@east"]
    assert Audience(destination).form()["destination"] == ["two@east"]


def test_a_pattern_is_a_glob_unless_it_is_said_to_be_a_regular_expression():
    assert included(pattern="one@*") == ["one@east", "one@west"]
    assert included(pattern="t[w]o@east") == ["two@east"]
    assert included(pattern="one@(east|west)$", matcher="pcre") == ["one@east", "one@west"]
    assert Audience(pattern="one@*").form()["matcher"] == "glob"
    assert not Audience(pattern="one@*").everybody


def test_names_go_before_a_pattern():
    assert included(["two@east"], pattern="one@*") == ["two@east"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pattern": "x", "matcher": "golb"}, "matcher must be 'glob' or 'pcre', not 'golb'; did you mean 'glob'?"),
        ({"pattern": "(", "matcher": "pcre"}, "pattern '(' is no regular expression: "),
        ({"pattern": 5}, "pattern and matcher must be text, not 5 and 'glob'"),
        ({"destination": [5]}, "destination must be names of nodes, not 5"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(options, message):
    with pytest.raises((TypeError, ValueError)) as raised:
        Audience(**options)
    assert str(raised.value).startswith(message)
