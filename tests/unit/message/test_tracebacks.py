"""Tracebacks as text: like Python's, but bounded."""

from __future__ import annotations

import sys
import timeit
import traceback
from typing import Any

import pytest

from umbel.message.tracebacks import format_traceback, message_of


def caught(act: Any, *args: Any) -> BaseException:
    try:
        act(*args)
    except BaseException as error:
        return error
    raise AssertionError


def fail(text: str = "bad") -> None:
    raise ValueError(text)


def fail_with_cause() -> None:
    try:
        fail("first")
    except ValueError as error:
        raise KeyError("second") from error


def fail_in_handler() -> None:
    try:
        fail("first")
    except ValueError:
        fail("second")


def fail_quietly() -> None:
    try:
        fail("first")
    except ValueError:
        raise KeyError("second") from None


def fail_with_notes() -> None:
    error = ValueError("bad")
    error.add_note("look here")
    error.add_note("and there")
    raise error


def recurse(depth: int) -> None:
    if depth == 0:
        fail()
    recurse(depth - 1)


@pytest.mark.parametrize(
    "act", [fail, fail_with_cause, fail_in_handler, fail_quietly, fail_with_notes]
)
def test_an_ordinary_failure_reads_as_python_prints_it(act):
    error = caught(act)
    assert format_traceback(error) == "".join(traceback.format_exception(error))


def test_a_failure_without_frames_is_named():
    assert format_traceback(ValueError("x")) == "ValueError: x\n"
    assert format_traceback(KeyboardInterrupt()) == "KeyboardInterrupt\n"


def test_the_members_of_a_group_are_shown_with_their_frames():
    group = caught(
        lambda: (_ for _ in ()).throw(ExceptionGroup("g", [caught(fail), KeyError("k")]))
    )
    text = format_traceback(group)
    assert "ExceptionGroup: g (2 sub-exceptions)" in text
    assert "1 of 2" in text
    assert "  | ValueError: bad" in text
    assert "in fail" in text
    assert "  | KeyError: 'k'" in text


def test_a_deep_recursion_shows_its_first_and_last_frames():
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(5000)
    try:
        error = caught(recurse, 3000)
    finally:
        sys.setrecursionlimit(limit)
    text = format_traceback(error)
    assert "frames left out]" in text
    assert text.count("\n") < 200
    assert "in caught" in text
    assert text.endswith("ValueError: bad\n")


def test_a_text_above_the_limit_keeps_its_end():
    error = caught(fail, "é" * 50_000)
    for limit in (300, 1000, 10_000):
        text = format_traceback(error, limit)
        assert limit * 0.9 < len(text.encode()) <= limit
        assert text.startswith("Traceback (most recent")
        assert "bytes left out" in text
        assert text.endswith("é…\n")
    assert format_traceback(error, 0) == ""


def test_a_long_or_circular_chain_of_causes_is_cut():
    error: BaseException = ValueError("bottom")
    for number in range(10_000):
        above = RuntimeError(number)
        above.__cause__ = error
        error = above
    text = format_traceback(error)
    assert "or more earlier exceptions left out" in text
    assert text.endswith("RuntimeError: 9999\n")
    one, other = ValueError("one"), KeyError("other")
    one.__cause__, other.__cause__ = other, one
    assert format_traceback(one).count("ValueError: one") == 1


def test_a_huge_group_costs_little():
    group = ExceptionGroup("g", [ExceptionGroup("h", [ValueError(n) for n in range(300)])] * 300)
    assert min(timeit.repeat(lambda: format_traceback(group), number=1, repeat=5)) < 0.1
    assert "[284 more left out]" in format_traceback(group)


def test_nul_and_lone_surrogates_are_written_as_escapes():
    text = format_traceback(ValueError("a\0b\ud800"))
    assert text == "ValueError: a\\x00b\\ud800\n"


def test_a_message_is_bounded_and_a_broken_one_is_named():
    class Broken(Exception):
        def __str__(self) -> str:
            raise KeyboardInterrupt

    assert message_of(Broken()) == "<unprintable Broken object>"
    assert format_traceback(Broken()).endswith("Broken: <unprintable Broken object>\n")
    assert message_of(ValueError("x" * 100), 10) == "x" * 10 + "…"


def test_a_source_loader_that_fails_does_not_matter():
    class Loader:
        def get_source(self, name: str) -> str:
            raise RuntimeError("no source")

    space: dict[str, Any] = {"__name__": "odd_module", "__loader__": Loader()}
    exec(compile("def act():\n    raise ValueError('odd')", "no-such-file.py", "exec"), space)
    text = format_traceback(caught(space["act"]))
    assert text.endswith("ValueError: odd\n")
