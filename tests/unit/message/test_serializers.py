"""Serializers by name, accept lists, and errors that say where and what instead."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
import pickle
from collections import deque
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

import pytest
from django.db.models import QuerySet
from hypothesis import given
from hypothesis import strategies as some

from umbel.exceptions import ContentDisallowed, DecodeError, EncodeError, ImproperlyConfigured
from umbel.message import serializers
from umbel.message.serializers import accepted_types, decode, encode, prepare, register, unregister

EVERYTHING = accepted_types(["json", "yaml", "pickle", "msgpack"])

plain = some.recursive(
    some.none()
    | some.booleans()
    | some.integers(-(2**63), 2**63 - 1)
    | some.floats(allow_nan=False)
    | some.text(some.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
    lambda inner: some.lists(inner) | some.dictionaries(some.text("abcdefgh"), inner),
    max_leaves=10,
)


class Colour(Enum):
    RED = 1


class User:
    """Looks like a Django model, as far as the hint is concerned."""

    _meta = object()
    pk = 7


@dataclasses.dataclass
class Order:
    number: int = 1


class Broken:
    def __json__(self):
        raise ValueError("no stock")


class Deceiving:
    def __json__(self):
        return {"inner": [object()]}


@pytest.mark.parametrize(
    ("name", "content_type", "encoding"),
    [
        ("json", "application/json", "utf-8"),
        ("yaml", "application/x-yaml", "utf-8"),
        ("pickle", "application/x-python-serialize", "binary"),
        ("msgpack", "application/x-msgpack", "binary"),
    ],
)
@given(value=plain)
def test_a_value_comes_back_from_every_serializer_under_kombus_names(
    name, content_type, encoding, value
):
    made_type, made_encoding, data = encode(value, name)
    assert (made_type, made_encoding) == (content_type, encoding)
    assert type(data) is bytes
    assert decode(data, made_type, made_encoding, {content_type}) == value


def test_an_accept_list_takes_names_and_content_types():
    assert accepted_types(["json", "application/x-yaml"]) == {
        "application/json",
        "application/x-yaml",
    }
    assert decode(b"1", "application/json", "utf-8", ["json"]) == 1


def test_an_unknown_name_in_an_accept_list_is_refused_with_the_nearest_one():
    with pytest.raises(ImproperlyConfigured, match="'jsn'; did you mean 'json'"):
        accepted_types(["jsn"])


def test_an_accept_list_that_is_a_string_is_refused():
    with pytest.raises(ImproperlyConfigured, match="accept_content must be a list"):
        accepted_types("json")


def test_a_type_that_is_not_accepted_is_refused_by_name_and_setting():
    with pytest.raises(ContentDisallowed, match=r"pickle \(application/x-python-serialize\)") as e:
        decode(
            pickle.dumps(1), "application/x-python-serialize", "binary", accepted_types(["json"])
        )
    assert "accept_content" in str(e.value)


def test_pickle_is_read_only_where_it_is_accepted():
    content_type, encoding, data = encode({1, 2}, "pickle")
    assert decode(data, content_type, encoding, accepted_types(["json", "pickle"])) == {1, 2}
    with pytest.raises(ContentDisallowed):
        decode(data, content_type, encoding, accepted_types(["json", "yaml", "msgpack"]))


def test_an_unknown_content_type_is_refused():
    with pytest.raises(ContentDisallowed, match="text/x-strange"):
        decode(b"1", "text/x-strange", "utf-8", EVERYTHING)
    with pytest.raises(DecodeError, match=r"no serializer can read .*text/x-strange"):
        decode(b"1", "text/x-strange", "utf-8", accepted_types(["text/x-strange"]))


@pytest.mark.parametrize("name", ["json", "yaml", "msgpack"])
@given(data=some.binary(max_size=40))
def test_any_bytes_are_decoded_or_refused_with_a_decode_error(name, data):
    content_type = serializers.find(name).content_type
    with contextlib.suppress(DecodeError):
        decode(data, content_type, "binary", EVERYTHING)


@pytest.mark.parametrize("name", ["json", "yaml", "pickle", "msgpack"])
def test_truncated_data_is_a_decode_error(name):
    content_type, encoding, data = encode({"a": ["long enough", 1]}, name)
    data = b"{a: [1, " if name == "yaml" else data[:-3]
    with pytest.raises(DecodeError, match=f"not valid {name.replace('json', 'JSON')}"):
        decode(data, content_type, encoding, EVERYTHING)


def test_yaml_is_read_safely():
    with pytest.raises(DecodeError, match="yaml"):
        decode(b"!!python/object/apply:os.getcwd []", "application/x-yaml", "utf-8", EVERYTHING)


def test_yaml_without_its_package_names_the_extra(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(serializers, "import_module", missing)
    for act in (
        lambda: encode([1], "yaml"),
        lambda: decode(b"1", "application/x-yaml", "utf-8", EVERYTHING),
    ):
        with pytest.raises(ImproperlyConfigured, match=r"umbel\[yaml\]"):
            act()


def test_an_unknown_serializer_is_refused_with_the_nearest_one():
    with pytest.raises(ImproperlyConfigured, match="'pikle'; did you mean 'pickle'"):
        encode(1, "pikle")


def test_a_registered_serializer_is_used_and_can_be_forgotten():
    register("shout", lambda value: value.upper(), lambda data: data.decode().lower(), "text/shout")
    try:
        content_type, encoding, data = encode("hello", "shout")
        assert (content_type, encoding, data) == ("text/shout", "utf-8", b"HELLO")
        assert decode(data, content_type, encoding, accepted_types(["shout"])) == "hello"
    finally:
        unregister("shout")
    with pytest.raises(ImproperlyConfigured):
        encode("hello", "shout")


def test_a_serializer_without_encoder_says_that_it_can_only_read():
    register("deaf", None, bytes.decode, "text/deaf")
    try:
        with pytest.raises(ImproperlyConfigured, match="'deaf' can only read"):
            encode("x", "deaf")
    finally:
        unregister("deaf")


def cycle() -> list[object]:
    ring: list[object] = [1]
    ring.append({"again": ring})
    return ring


def nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, {"user": User()}], r"args\[1\]\['user'\]: <class '.*User'> .* pass its primary key"),
        ([Order()], r"args\[0\]: <class '.*Order'> .* dataclasses.asdict"),
        ([{1, 2}], r"args\[0\]: <class 'set'> cannot be serialized as JSON; pass a list"),
        ([deque()], r"<class 'collections.deque'> .* pass a list"),
        ([QuerySet], "classes do not travel"),
        ([QuerySet()], "pass a list of primary keys"),
        ([Colour.RED], "pass its .value"),
        ([Path("a")], r"pass str\(\) of it"),
        ([ValueError("secret")], r"<class 'ValueError'> .* pass str\(\) of it"),
        ([io.StringIO()], "pass the path of the file"),
        ([bytearray(b"a")], "pass bytes"),
        ([print], "functions do not travel"),
        ([1j], r"<class 'complex'> .* give the class a __json__\(\) method"),
        ([{"a": {(1, 2): 3}}], r"args\[0\]\['a'\]: the key \(1, 2\) .* use a string"),
        ([Broken()], r"args\[0\]: <class '.*Broken'> .*\(no stock\)"),
        ([Deceiving()], r"args\[0\].__json__\(\)\['inner'\]\[0\]: <class 'object'>"),
        ([cycle()], r"args\[0\]\[1\]\['again'\] contains itself"),
        (nested(50_000), "nested too deeply"),
        ([10**5000], r"args\[0\]: <class 'int'> .*digits.* pass it as text"),
    ],
    ids=lambda value: "" if isinstance(value, list) else value[:30],
)
def test_a_refused_value_is_named_by_its_place_with_what_to_pass_instead(value, message):
    with pytest.raises(EncodeError, match=message) as caught:
        encode(value, "json", "args")
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["yaml", "pickle", "msgpack"])
def test_other_serializers_name_the_place_too(name):
    with pytest.raises(EncodeError, match=rf"value\['f'\]: .* cannot be serialized as {name}"):
        encode({"f": lambda: None}, name)


def test_encoding_goes_on_after_a_refusal():
    for _ in range(3):
        with pytest.raises(EncodeError):
            encode(cycle())
    shared = [1]
    assert encode([shared, shared])[2] == b"[[1], [1]]"


@pytest.mark.parametrize("value", [None, 1, "text", 1.5, [1], datetime(2020, 1, 1, tzinfo=UTC)])
def test_a_result_that_can_be_encoded_is_prepared_as_it_is(value):
    assert prepare(value) == value


def test_a_prepared_result_does_not_change_with_the_original():
    value = [1]
    prepared = prepare(value)
    value.append(2)

    assert prepared == [1]


def test_a_number_that_no_json_library_writes_is_refused_when_it_is_prepared():
    with pytest.raises(EncodeError):
        prepare(10**5000)


def test_a_result_that_cannot_be_encoded_is_named():
    with pytest.raises(EncodeError, match=r"result\['a'\]: <class 'object'>"):
        prepare({"a": object()})


def test_json_is_what_kombu_writes_byte_for_byte():
    assert encode({"a": [1, 2.5, "é", None, math.inf]})[2] == (
        rb'{"a": [1, 2.5, "\u00e9", null, Infinity]}'
    )
