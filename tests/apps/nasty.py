"""Exceptions that break other task queues, and a task that raises them."""

import os

os.environ.setdefault("MARKS_BROKER", "memory://")

from tests.apps.marks import app


class TwoArguments(Exception):
    def __init__(self, first, second):
        super().__init__(first)
        self.second = second


class KeywordOnly(Exception):
    def __init__(self, *, code):
        super().__init__()
        self.code = code


class BrokenReduce(Exception):
    def __reduce__(self):
        raise TypeError("cannot be pickled")


class BrokenRepr(Exception):
    def __repr__(self):
        raise ValueError("no repr")


class BrokenStr(Exception):
    def __str__(self):
        raise ValueError("no str")


class BrokenArgs(Exception):
    args = property(lambda _self: 1 / 0)


class WithLock(Exception):
    pass


class Stripe(Exception):
    def __init__(self, message=None, http_body=None, json_body=None):
        super().__init__(message)
        self.http_body, self.json_body = http_body, json_body

    def __str__(self):
        return f"Request: {self.http_body}"


def recursive():
    error = ValueError("loop")
    error.args = (error,)
    return error


def deep():
    error = ValueError("bottom")
    for n in range(200):
        outer = ValueError(n)
        outer.__cause__ = error
        error = outer
    return error


def local():
    class Local(Exception):
        pass

    return Local("here")


def noted():
    error = ValueError("noted")
    error.add_note("a note")
    return error


MAKERS = {
    "TwoArguments": lambda: TwoArguments("a", "b"),
    "KeywordOnly": lambda: KeywordOnly(code=3),
    "BrokenReduce": lambda: BrokenReduce("x"),
    "BrokenRepr": lambda: BrokenRepr("x"),
    "BrokenStr": lambda: BrokenStr("x"),
    "BrokenArgs": lambda: BrokenArgs("x"),
    "WithLock": lambda: WithLock(__import__("threading").Lock()),
    "Stripe": lambda: Stripe("declined", b"\xff", {"a": object()}),
    "recursive": recursive,
    "deep": deep,
    "Local": local,
    "noted": noted,
    "huge": lambda: ValueError("x" * 10_000_000),
    "huge list": lambda: ValueError(list(range(1_000_000))),
    "bytes": lambda: ValueError(b"\x00\xff"),
    "surrogate": lambda: ValueError("\ud800"),
    "object": lambda: ValueError(object()),
    "function": lambda: ValueError(lambda: None),
    "generator": lambda: ValueError(x for x in ()),
    "class": lambda: ValueError(ValueError),
    "nan": lambda: ValueError(float("nan")),
    "set": lambda: ValueError({1, 2}),
    "ExceptionGroup": lambda: ExceptionGroup("g", [ValueError(1), KeyError("k")]),
    "nested group": lambda: ExceptionGroup("g", [ExceptionGroup("h", [ValueError(1)])]),
    "UnicodeDecodeError": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    "OSError": lambda: OSError(2, "no such file", "name"),
    "KeyError": lambda: KeyError(("tuple", 1)),
    "StopIteration": lambda: StopIteration(3),
    "SystemExit": lambda: SystemExit("bye"),
    "RecursionError": lambda: RecursionError("too deep"),
    "MemoryError": lambda: MemoryError(),
}
NAMES = {
    **dict.fromkeys(
        ("recursive", "deep", "noted", "huge", "huge list", "bytes", "surrogate", "object",
         "function", "generator", "class", "nan", "set"),
        "ValueError",
    ),
    "nested group": "ExceptionGroup",
    "OSError": "FileNotFoundError",
}  # fmt: skip


@app.task(name="raise_nasty")
def raise_nasty(name):
    raise MAKERS[name]()
