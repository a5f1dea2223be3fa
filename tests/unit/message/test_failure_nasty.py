"""Fifty nasty exceptions: whatever a task raises, name, module and message come through."""

from __future__ import annotations

import decimal
import ssl
import subprocess
import sys
import urllib.error
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from umbel.exceptions import MaxRetriesExceededError, Retry
from umbel.message import serializers
from umbel.message.failure import describe, format_traceback, restore


class TwoArguments(Exception):
    def __init__(self, a, b):
        super().__init__(a)


class BuildsItsMessage(Exception):
    def __init__(self, code):
        super().__init__(f"code {code}")
        self.code = code


class KeywordOnly(Exception):
    def __init__(self, *, reason):
        self.reason = reason
        super().__init__()

    def __str__(self):
        return f"because of {self.reason}"


class NoSuper(Exception):
    def __init__(self, a, b):
        self.a = a


class ReduceRaises(Exception):
    def __reduce__(self):
        raise RuntimeError("no pickling")


class HoldsALock(Exception):
    def __init__(self, message):
        super().__init__(message, __import__("threading").Lock())


class StrRaises(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class StrExits(Exception):
    def __str__(self):
        raise SystemExit(3)


class StrIsNotText(Exception):
    def __str__(self):
        return 5  # noqa: PLE0307 - that is what is wrong with it


class StrNeedsAttributes(Exception):
    def __init__(self, message, status):
        super().__init__(message)
        self.status = status

    def __str__(self):
        return f"{self.args[0]} ({self.status})"


class InitExits(Exception):
    def __init__(self, *args):
        if sys._getframe(1).f_code.co_name == "_call":
            raise SystemExit("not again")
        super().__init__(*args)


class NewRefuses(Exception):
    def __new__(cls, *args):
        if args:
            raise TypeError("only without arguments")
        return super().__new__(cls)

    def __init__(self):
        super().__init__()
        self.args = ("said later",)


class NewReturnsAnother(Exception):
    def __new__(cls, *args):
        return super().__new__(cls, *args) if args != ("lie",) else "not an exception"


class Slots(Exception):
    __slots__ = ("code",)

    def __init__(self, code):
        super().__init__(code)
        self.code = code


class ArgsIsAProperty(Exception):
    @property
    def args(self):
        raise RuntimeError("no arguments")


class RefusesAttributes(Exception):
    def __setattr__(self, name, value):
        raise AttributeError(name)


class NotSubclassable(Exception):
    def __init__(self, a, b):
        super().__init__(a)

    def __init_subclass__(cls):
        raise TypeError("final")

    def __str__(self):
        return f"told {self.args[0]}"


class Meta(type):
    def __call__(cls, *args):
        if len(args) < 2:
            raise TypeError("at least two")
        return super().__call__(*args)


class OddMeta(Exception, metaclass=Meta):
    def __init__(self, a, b):
        super().__init__(a)


class StripeLike(Exception):
    """After the shape of an API client's error: many keywords, its own text, a response object."""

    def __init__(self, message=None, http_body=None, http_status=None, *, headers):
        super().__init__(message)
        self._message = message
        self.http_status = http_status
        self.headers = headers
        self.response = object()

    def __str__(self):
        return f"Request {self.headers['id']}: {self._message}"

    def __repr__(self):
        return f"{type(self).__name__}(message={self._message!r}, id={self.headers['id']!r})"


class CustomGroup(ExceptionGroup):
    def __new__(cls, errors, extra=None):
        return super().__new__(cls, f"{len(errors)} problems", errors)

    def __init__(self, errors, extra=None):
        self.extra = extra


class BrokenRepr:
    def __repr__(self):
        raise RuntimeError("no repr")


class Outer:
    class Inner(Exception):
        pass


def local() -> Exception:
    class Local(Exception):
        pass

    return Local("inside")


def recursive() -> Exception:
    args: list[Any] = ["round"]
    args.append(args)
    error = ValueError(args)
    error.__cause__ = KeyError("first")
    error.__cause__.__cause__ = error
    return error


def itself() -> Exception:
    error = ValueError("self")
    error.args = (error,)
    return error


def chained(depth: int) -> Exception:
    error: Exception = ValueError("bottom")
    for number in range(depth):
        above = RuntimeError(number)
        above.__cause__ = error
        error = above
    return error


def noted() -> Exception:
    error = ValueError("with notes")
    error.add_note("first")
    error.__notes__.append(BrokenRepr())
    return error


def odd_notes() -> Exception:
    error = ValueError("odd")
    error.__notes__ = 5  # type: ignore[assignment]
    return error


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


NASTY: dict[str, tuple[BaseException, str | None]] = {
    # What it says after restoring; None where it has no usable text of its own.
    "two arguments": (TwoArguments("a", 1), "a"),
    "builds its message": (BuildsItsMessage(5), "code 5"),
    "keyword only": (KeywordOnly(reason="rain"), "because of rain"),
    "no super": (NoSuper("a", 1), "('a', 1)"),
    "reduce raises": (ReduceRaises("r"), "r"),
    "holds a lock": (HoldsALock("locked"), None),
    "str raises": (StrRaises("s"), None),
    "str exits": (StrExits("s"), None),
    "str is not text": (StrIsNotText("s"), None),
    "str needs attributes": (StrNeedsAttributes("bad", 500), "bad (500)"),
    "init exits": (InitExits("i"), "i"),
    "new refuses": (NewRefuses(), "said later"),
    "new returns another": (NewReturnsAnother("n"), "n"),
    "slots": (Slots(7), "7"),
    "args is a property": (ArgsIsAProperty("p"), None),
    "refuses attributes": (RefusesAttributes("q"), "q"),
    "not subclassable": (NotSubclassable("f", 1), "told f"),
    "odd metaclass": (OddMeta("o", 1), "o"),
    "stripe-like": (StripeLike("declined", headers={"id": "req_1"}), "Request req_1: declined"),
    "custom group": (CustomGroup([ValueError(1)], extra=2), "1 problems (1 sub-exception)"),
    "group": (grouped(), "many (2 sub-exceptions)"),
    "group of exits": (BaseExceptionGroup("b", [SystemExit(1)]), "b (1 sub-exception)"),
    "huge text": (ValueError("x" * 50_000_000), None),
    "huge list": (ValueError([0] * 5_000_000), None),
    "many arguments": (ValueError(*range(1_000_000)), None),
    "recursive": (recursive(), None),
    "its own argument": (itself(), None),
    "broken repr in arguments": (ValueError(BrokenRepr()), "<Unrepresentable 'BrokenRepr' object>"),
    "odd arguments": (ValueError({1, 2}, {b"k": 1}, print, float("inf"), 10**5000), None),
    "lone surrogate": (ValueError("a\ud800"), "a\\ud800"),
    "chain of 5000": (chained(5000), "4999"),
    "notes": (noted(), "with notes"),
    "notes that are no list": (odd_notes(), "odd"),
    "nested class": (Outer.Inner("inner"), "inner"),
    "local class": (local(), "inside"),
    "validation error": (ValidationError({"name": ["too long"]}), "{'name': ['too long']}"),
    "called process": (
        subprocess.CalledProcessError(2, ["ls"]),
        "Command '['ls']' returned non-zero exit status 2.",
    ),
    "file not found": (
        FileNotFoundError(2, "No such file", "a.txt"),
        "[Errno 2] No such file: 'a.txt'",
    ),
    "two file names": (
        OSError(18, "Cross-device", "a", None, "b"),
        "[Errno 18] Cross-device: 'a' -> 'b'",
    ),
    "unicode": (
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        "'utf-8' codec can't decode byte 0xff in position 0: bad",
    ),
    "syntax": (SyntaxError("bad", ("f.py", 3, 1, "x =", 3, 2)), "bad (f.py, line 3)"),
    "http": (urllib.error.HTTPError("u", 404, "gone", None, None), "HTTP Error 404: gone"),  # type: ignore[arg-type]
    "ssl": (ssl.SSLError(1, "handshake"), "handshake"),
    "decimal": (decimal.InvalidOperation([decimal.ConversionSyntax]), None),
    "key": (KeyError("k"), "'k'"),
    "stop": (StopIteration(5), "5"),
    "exit": (SystemExit(2), "2"),
    "interrupt": (KeyboardInterrupt(), ""),
    "recursion": (RecursionError("maximum depth"), "maximum depth"),
    "memory": (MemoryError(), ""),
    "retry": (Retry("later", ValueError("v"), 5), "later"),
    "too many retries": (MaxRetriesExceededError("enough", task_args=(1,)), "enough"),
}


@pytest.mark.parametrize("name", NASTY)
@pytest.mark.parametrize("serializer", ["json", "msgpack", "yaml"])
def test_a_nasty_exception_keeps_name_module_and_message_through_any_store(name, serializer):
    error, text = NASTY[name]
    raised(error)
    data = describe(error, serializer=serializer)
    content_type, encoding, stored = serializers.encode(data, serializer)
    assert len(stored) < 100_000
    loaded = serializers.decode(stored, content_type, encoding, {content_type})
    kind = type(error)
    assert (loaded["exc_type"], loaded["exc_module"]) == (kind.__qualname__, kind.__module__)
    assert isinstance(loaded["exc_message"], list)
    back = restore(loaded)
    assert isinstance(back, Exception)
    assert (type(back).__qualname__, type(back).__module__) == (kind.__qualname__, kind.__module__)
    said = str(back)
    if text is not None:
        assert said == text
    harmless = isinstance(error, Exception)
    if harmless and "<locals>" not in kind.__qualname__ and kind is not NotSubclassable:
        assert isinstance(back, kind)
    assert 0 < len(format_traceback(error).encode()) <= 65536
