from __future__ import annotations

import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umbel.app.arguments import Arguments


def plain(a, b, c=3):
    """Two required, one optional."""


def open_ended(a, *rest, key, **others):
    """Everything at once."""


def positional_only(a, b=2, /, c=3, **others):
    """Names that cannot be given."""


def keyword_only(*, a, b=2):
    """Nothing by position."""


def nothing():
    """No parameter at all."""


FUNCTIONS = [plain, open_ended, positional_only, keyword_only, nothing]


def test_a_call_that_fits_is_accepted():
    Arguments(plain, "proj.plain").check((1, 2), {})
    Arguments(plain, "proj.plain").check((1,), {"b": 2})
    Arguments(plain, "proj.plain").check((), {"a": 1, "b": 2, "c": 3})


@pytest.mark.parametrize(
    ("args", "kwargs", "complaint"),
    [
        ((1,), {}, "missing a required argument: 'b'"),
        ((1, 2, 3, 4), {}, "too many positional arguments"),
        ((1, 2), {"d": 4}, "got an unexpected keyword argument 'd'"),
        ((1, 2), {"a": 1}, "multiple values for argument 'a'"),
    ],
)
def test_a_call_that_does_not_fit_is_refused_with_name_and_signature(args, kwargs, complaint):
    with pytest.raises(TypeError) as refused:
        Arguments(plain, "proj.plain").check(args, kwargs)

    assert str(refused.value) == f"proj.plain(a, b, c=3): {complaint}"


def test_a_function_without_a_readable_signature_accepts_everything():
    class Unreadable:
        __signature__ = "none"

        def __call__(self):
            return None

    checker = Arguments(Unreadable(), "proj.unreadable")

    checker.check((1, 2, 3), {"x": 1})
    assert checker.signature is None


def test_a_wrapper_is_judged_by_what_it_wraps():
    @functools.wraps(plain)
    def wrapper(*args, **kwargs):
        return plain(*args, **kwargs)

    with pytest.raises(TypeError):
        Arguments(wrapper, "proj.wrapper").check((1,), {})


@given(
    function=st.sampled_from(FUNCTIONS),
    args=st.lists(st.integers(), max_size=5),
    kwargs=st.dictionaries(st.sampled_from(["a", "b", "c", "key", "z"]), st.integers()),
)
def test_the_check_says_what_a_call_would_say(function, args, kwargs):
    try:
        function(*args, **kwargs)
        expected = True
    except TypeError:
        expected = False

    try:
        Arguments(function, "name").check(args, kwargs)
        accepted = True
    except TypeError:
        accepted = False

    assert accepted is expected
