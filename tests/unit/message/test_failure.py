"""Exceptions as data: what is kept of one, what is made of it again, and what is never done."""

from __future__ import annotations

import decimal
import json
import sys
import types
from asyncio import CancelledError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from umbel import exceptions
from umbel.exceptions import BackendError, Retry, UmbelError
from umbel.message import serializers
from umbel.message.failure import ErrorInfo, describe, format_traceback, restore


class Outer:
    class Inner(Exception):
        pass


def grouped() -> Exception:
    return ExceptionGroup("many", [ValueError(1), ExceptionGroup("inner", [KeyError("k")])])


def raised(error: BaseException) -> BaseException:
    """The same exception, with the traceback and context that it has when a task raised it."""
    try:
        try:
            raise KeyError("before")
        except KeyError:
            raise error  # noqa: B904 - its context is wanted
    except BaseException as caught:
        return caught


def test_an_ordinary_exception_is_three_keys_as_celery_stores_it():
    assert describe(ValueError("bad", 1)) == {
        "exc_type": "ValueError",
        "exc_message": ["bad", 1],
        "exc_module": "builtins",
    }
    assert describe(Outer.Inner())["exc_type"] == "Outer.Inner"


def test_arguments_that_the_serializer_knows_are_kept_and_others_become_their_repr():
    error = ValueError(decimal.Decimal("1.5"), {1}, [b"a", (1,)], {"k": print, 5: None})
    described = describe(error)["exc_message"]
    assert described == [decimal.Decimal("1.5"), "{1}", [b"a", [1]], {"k": repr(print), "5": None}]
    assert describe(error, serializer="yaml")["exc_message"][0] == "Decimal('1.5')"


def test_notes_cause_and_context_come_along():
    error = ValueError("top")
    error.__cause__ = KeyError("why")
    error.add_note("hint")
    back = restore(json.loads(json.dumps(describe(error))))
    assert isinstance(back.__cause__, KeyError)
    assert back.__cause__.args == ("why",)
    assert back.__notes__ == ["hint"]
    with_context = raised(ValueError("top"))
    assert isinstance(restore(describe(with_context)).__context__, KeyError)


def test_a_suppressed_context_stays_behind():
    error = raised(ValueError("top"))
    error.__suppress_context__ = True
    assert "exc_context" not in describe(error)


def test_the_members_of_a_group_are_restored():
    back = restore(json.loads(json.dumps(describe(grouped()))))
    assert isinstance(back, ExceptionGroup)
    assert [type(member) for member in back.exceptions] == [ValueError, ExceptionGroup]
    assert back.exceptions[1].exceptions[0].args == ("k",)


def test_an_exit_inside_a_group_does_not_get_lost():
    back = restore(describe(BaseExceptionGroup("b", [SystemExit(1), ValueError(2)])))
    assert isinstance(back, ExceptionGroup)
    assert [type(member).__name__ for member in back.exceptions] == ["SystemExit", "ValueError"]


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, CancelledError])
def test_what_would_end_the_caller_comes_back_as_an_error_of_the_same_name(kind):
    for data in (describe(kind("why")), kind("why")):
        back = restore(data)
        assert isinstance(back, UmbelError)
        assert not isinstance(back, kind)
        assert (type(back).__name__, str(back)) == (kind.__name__, "why")


def test_a_description_is_bounded_by_its_limit():
    wide = ExceptionGroup("w", [ValueError("x" * 10_000) for _ in range(1000)])
    for limit in (1000, 20_000):
        size = len(serializers.encode(describe(wide, limit))[2])
        assert size < limit + 8000


# Security ---------------------------------------------------------------------------------------


def stored(kind: Any, module: Any, message: Any = ()) -> dict[str, Any]:
    return {"exc_type": kind, "exc_message": message, "exc_module": module}


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("builtins", "dict"),
        ("subprocess", "Popen"),
        ("umbel.exceptions", "CeleryError.__class__"),
        ("umbel.exceptions", "annotations"),
        ("sys", "modules"),
        ("builtins", "BaseException.__subclasses__"),
    ],
)
def test_what_is_not_an_exception_class_is_never_called(module, name, tmp_path):
    proof = tmp_path / "proof"
    back = restore(stored(name, module, [f"touch {proof}"]))
    assert isinstance(back, UmbelError)
    assert type(back).__qualname__ == name
    assert str(back) == f"touch {proof}"
    assert not proof.exists()


def test_nothing_is_imported():
    name = "antigravity"
    assert name not in sys.modules
    back = restore(stored("Error", name, ["x"]))
    assert name not in sys.modules
    assert isinstance(back, UmbelError)
    assert (type(back).__name__, type(back).__module__, str(back)) == ("Error", name, "x")


def test_a_lazy_module_is_not_asked_for_attributes(monkeypatch):
    asked = []
    lazy = types.ModuleType("lazy_test_module")
    lazy.__getattr__ = asked.append  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "lazy_test_module", lazy)
    assert isinstance(restore(stored("Error", "lazy_test_module")), UmbelError)
    assert asked == []


def test_the_stand_in_is_one_class_for_one_name():
    one, other = (restore(stored("Gone", "far.away", ["x"])) for _ in range(2))
    assert type(one) is type(other)
    assert type(one) is not type(restore(stored("Gone", "far.off", ["x"])))


def test_a_failure_stored_by_celery_is_restored():
    assert restore(stored("ValueError", "builtins", ["a", 1])).args == ("a", 1)
    assert restore(stored("WorkerLostError", "billiard.exceptions", "gone")).args == ("gone",)
    assert isinstance(restore(stored("Retry", "umbel.exceptions", ["m", None, 1])), Retry)
    assert type(restore({"exc_type": "X"})).__module__ == exceptions.__name__


def test_an_exception_that_was_stored_as_such_is_handed_back():
    error = ValueError("pickled")
    assert restore(error) is error


@pytest.mark.parametrize("data", [None, "text", 5, [], ["a"]])
def test_what_is_not_a_failure_becomes_a_backend_error(data):
    assert isinstance(restore(data), BackendError)


junk = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(), inner, max_size=3),
)
names = some.sampled_from(
    [
        "ValueError",
        "OSError",
        "UnicodeDecodeError",
        "ExceptionGroup",
        "SyntaxError",
        "",
        "a.b",
        "\0",
    ]
)


@given(
    some.fixed_dictionaries(
        {},
        optional={
            "exc_type": names | junk,
            "exc_module": some.sampled_from(["builtins", "no.such", ""]) | junk,
            "exc_message": junk,
            "exc_text": junk,
            "exc_notes": junk,
            "exc_cause": junk,
            "exc_group": some.lists(junk) | junk,
        },
    )
)
def test_any_stored_mapping_is_restored_to_an_exception(data):
    back = restore(data)
    assert isinstance(back, BaseException)
    assert isinstance(str(back), str)


def test_a_failure_nested_beyond_reason_is_restored():
    data: dict[str, Any] = stored("ValueError", "builtins", ["bottom"])
    for _ in range(5000):
        data = stored("RuntimeError", "builtins", ["up"]) | {"exc_cause": data}
    back = restore(data)
    assert isinstance(back.__cause__, RuntimeError)


# Handlers ---------------------------------------------------------------------------------------


def test_handlers_are_told_of_a_failure_under_billiards_names():
    error = raised(ValueError("bad"))
    information = ErrorInfo.of(error)
    assert (information.exception, information.type) == (error, ValueError)
    assert information.tb is error.__traceback__
    assert str(information) == information.traceback == format_traceback(error)
    assert str(ErrorInfo.of(error, "as told")) == "as told"
    assert repr(information) == "<ErrorInfo: ValueError('bad')>"
