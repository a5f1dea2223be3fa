"""JSON as kombu writes it, and decoding that never differs from the standard library's."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from django.utils.functional import lazystr
from hypothesis import example, given
from hypothesis import strategies as some

from umbel.exceptions import DecodeError
from umbel.message import tagged_json
from umbel.message.tagged_json import decode, encode, register_type


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Point(NamedTuple):
    x: int
    y: int


class Celsius:
    def __init__(self, degrees: float) -> None:
        self.degrees = degrees

    def __json__(self) -> Any:
        return {"degrees": self.degrees}


# What kombu 5.7 writes for these values, taken from running it.
KOMBU = [
    (datetime(2020, 1, 2, 3, 4, 5, 6, UTC), ("datetime", "2020-01-02T03:04:05.000006+00:00")),
    (datetime(2020, 1, 2), ("datetime", "2020-01-02T00:00:00")),  # noqa: DTZ001 - naive on purpose
    (date(2020, 1, 2), ("date", "2020-01-02")),
    (time(1, 2, 3, tzinfo=UTC), ("time", "01:02:03+00:00")),
    (Decimal("1.10"), ("decimal", "1.10")),
    (UUID(int=1), ("uuid", {"hex": "00000000000000000000000000000001"})),
    (b"ab", ("bytes", "ab")),
    (b"\xff", ("base64", "/w==")),
]


@pytest.mark.parametrize(("value", "tagged"), KOMBU, ids=lambda value: str(value)[:30])
def test_a_type_without_a_word_in_json_is_tagged_as_kombu_tags_it(value, tagged):
    marker, data = tagged
    written = encode({"v": [value]})
    assert written == json.dumps({"v": [{"__type__": marker, "__value__": data}]}).encode()
    (restored,) = decode(written)["v"]
    assert restored == value
    assert type(restored) is type(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Colour.RED, '"red"'),
        (Level.HIGH, "3"),
        (Point(1, 2), "[1, 2]"),
        (Celsius(3.5), '{"degrees": 3.5}'),
        (lazystr("later"), '"later"'),
        ({1: 2, None: 3, False: 4}, '{"1": 2, "null": 3, "false": 4}'),
        (10**30, str(10**30)),
        ("é☃\ud800", '"\\u00e9\\u2603\\ud800"'),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_values_are_written_as_kombu_writes_them(value, text):
    assert encode(value) == text.encode()


def test_a_duration_comes_back_exactly_and_is_a_plain_mapping_to_readers_without_the_tag():
    duration = timedelta(days=-3, microseconds=1)
    written = encode(duration)
    assert decode(written) == duration
    # kombu resolves a mapping of exactly these two keys, and refuses tags that it does not know.
    assert json.loads(written).keys() != {"__type__", "__value__"}


def test_a_mapping_that_only_resembles_a_tag_is_left_alone():
    for mapping in (
        {"__type__": "datetime"},
        {"__type__": "datetime", "__value__": "x", "more": 1},
        {"__type__": "timedelta", "days": 1},
        {"__type__": None, "__value__": 1},
    ):
        assert decode(json.dumps(mapping).encode()) == mapping


@pytest.mark.parametrize(
    "text",
    [
        '{"__type__": "unheard of", "__value__": 1}',
        '{"__type__": ["datetime"], "__value__": 1}',
        '{"__type__": "datetime", "__value__": "yesterday"}',
        '{"__type__": "bytes", "__value__": 5}',
        '{"__type__": "base64", "__value__": "a"}',
        '{"__type__": "uuid", "__value__": {"no": "such"}}',
        '{"__type__": "decimal", "__value__": "x"}',
        '{"__type__": "timedelta", "days": "x", "seconds": 0, "microseconds": 0}',
        "[" * 100_000,
        '["a',
        "",
        "\ufeff1",
    ],
    ids=lambda text: text[:40],
)
def test_what_cannot_be_decoded_is_a_decode_error(text):
    with pytest.raises(DecodeError):
        decode(text.encode())


def test_bytes_that_are_not_utf8_are_a_decode_error():
    with pytest.raises(DecodeError, match="not valid JSON"):
        decode(b'"\xff"')


def test_a_registered_type_travels_with_its_subclasses_and_comes_back():
    class Money:
        def __init__(self, cents: int) -> None:
            self.cents = cents

    class Euro(Money):
        pass

    register_type(Money, "test-money", lambda money: money.cents, Money)
    try:
        back = decode(encode([Money(5), Euro(7)]))
        assert [type(part) for part in back] == [Money, Money]
        assert [part.cents for part in back] == [5, 7]
    finally:
        del tagged_json._encoders[Money], tagged_json._decoders["test-money"]


def test_a_type_registered_without_a_marker_is_sent_as_plain_data():
    class Path:
        pass

    register_type(Path, None, lambda _: "a/b")
    try:
        assert decode(encode([Path()])) == ["a/b"]
    finally:
        del tagged_json._encoders[Path]


# Equality with the standard library -------------------------------------------------------------

scalars = (
    some.none()
    | some.booleans()
    | some.integers()
    | some.integers(min_value=-(10**40), max_value=10**40)
    | some.floats()
    | some.text(some.characters(categories=None))  # surrogates too
    | some.sampled_from(["__type__", "__value__", "datetime", "\u005f\u005ftype__"])
)
values = some.recursive(
    scalars,
    lambda inner: (
        some.lists(inner, max_size=4)
        | some.dictionaries(some.text(some.characters(categories=None)), inner, max_size=4)
    ),
    max_leaves=12,
)
fragments = some.lists(
    some.sampled_from(
        [
            *'{}[]:,"-+.eE01239 \t\n',
            "NaN",
            "Infinity",
            "-Infinity",
            "true",
            "null",
            '"a"',
            '"a":1',
            '"\\ud800"',
            '"\\ud83d\\ude00"',
            "\\u00e9",
            '"\\u005f_type__"',
            '"__type__"',
            '"__value__"',
            '"date"',
            "1e400",
            "18446744073709551616",
            "-9223372036854775809",
            "-0",
            "-0.0",
            "1e-400",
            "9" * 400,
            "\x00",
            "\x7f",
        ]
    ),
    max_size=12,
).map("".join)


def outcome(decoder: Any, text: Any) -> Any:
    """A value that can be compared, NaN, signs and types included."""
    try:
        return repr(decoder(text))
    except DecodeError:
        return "refused"


def standard(text: str) -> Any:
    try:
        return json.loads(text, object_hook=tagged_json._untag)
    except (ValueError, TypeError, RecursionError, AttributeError, ArithmeticError) as error:
        raise DecodeError from error


@given(values)
def test_values_are_decoded_as_the_standard_library_decodes_them(value):
    for ascii_only in (True, False):
        text = json.dumps(value, ensure_ascii=ascii_only)
        data = text.encode("utf-8", "surrogatepass")
        if data == text.encode("utf-8", "replace"):
            assert outcome(decode, data) == outcome(standard, text)


@given(fragments)
@example('{"a":1,"b":2,"a":3}')
@example('{"\\u005f_type__": "date", "__value__": "2020-01-01"}')
@example('{"_\\u005Ftyp\\u0065__": "date", "__value__": "2020-01-01"}')
@example("9" * 5000)
@example("-1e400")
@example('"\\ud800"')
@example('"\\udc00\\ud800"')
@example("[NaN, -Infinity]")
def test_any_text_is_decoded_or_refused_as_the_standard_library_does(text):
    assert outcome(decode, text.encode()) == outcome(standard, text)


@given(some.binary())
def test_any_bytes_are_decoded_or_refused_with_a_decode_error(data):
    outcome(decode, data)


tagged = (
    some.datetimes(timezones=some.none() | some.just(UTC) | some.just(timezone(timedelta(hours=5))))
    | some.dates()
    | some.times()
    | some.decimals(allow_nan=False)
    | some.uuids()
    | some.binary()
    | some.timedeltas()
)


@given(some.lists(tagged | some.dictionaries(some.text(), tagged)))
def test_tagged_values_come_back_equal(value):
    assert decode(encode(value)) == value


def test_not_a_number_and_infinity_travel_as_with_kombu():
    assert encode([math.nan, math.inf]) == b"[NaN, Infinity]"
    back = decode(b"[NaN, Infinity]")
    assert math.isnan(back[0])
    assert back[1] == math.inf
