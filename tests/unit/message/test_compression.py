"""Compression under kombu's names."""

from __future__ import annotations

import gzip
import importlib.util
import zlib

import pytest

from umbel.exceptions import DecodeError, ImproperlyConfigured
from umbel.message import compression
from umbel.message.compression import compress, decompress, names, register

DATA = b"repeat " * 100


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("gzip", "application/x-gzip"),
        ("zlib", "application/x-gzip"),
        ("bzip2", "application/x-bz2"),
        ("bzip", "application/x-bz2"),
        ("lzma", "application/x-lzma"),
        ("xz", "application/x-lzma"),
        ("application/x-gzip", "application/x-gzip"),
    ],
)
def test_data_comes_back_by_name_and_by_content_type(name, content_type):
    data, header = compress(DATA, name)
    assert header == content_type
    assert len(data) < len(DATA)
    assert decompress(data, content_type) == decompress(data, name) == DATA


def test_gzip_is_a_zlib_stream_as_with_kombu_and_real_gzip_is_read_too():
    assert zlib.decompress(compress(DATA, "gzip")[0]) == DATA
    assert decompress(gzip.compress(DATA), "gzip") == DATA


@pytest.mark.parametrize("name", ["gzip", "bzip2", "lzma"])
def test_damaged_data_is_a_decode_error(name):
    data, header = compress(DATA, name)
    for damaged in (b"nothing", data[: len(data) // 2]):
        with pytest.raises(DecodeError, match="not valid"):
            decompress(damaged, header)


def test_an_unknown_method_is_refused_with_the_nearest_one():
    with pytest.raises(ImproperlyConfigured, match="'gzp'; did you mean 'gzip'"):
        compress(DATA, "gzp")
    with pytest.raises(DecodeError, match="no compression 'application/x-odd'"):
        decompress(DATA, "application/x-odd")


@pytest.mark.parametrize("name", ["brotli", "zstd"])
def test_an_optional_method_works_or_names_its_package(name):
    modules = {"brotli": ["brotli", "brotlicffi"], "zstd": ["compression", "backports"]}[name]
    if any(importlib.util.find_spec(module) for module in modules):
        assert decompress(*compress(DATA, name)) == DATA
    else:
        with pytest.raises(ImproperlyConfigured, match=f"{name}.*not installed"):
            compress(DATA, name)
        with pytest.raises(DecodeError, match="not installed"):
            decompress(DATA, name)


def test_a_registered_method_is_used():
    register(lambda data: data[::-1], lambda data: data[::-1], "test/reverse", ["reverse"])
    try:
        assert compress(b"abc", "reverse") == (b"cba", "test/reverse")
        assert decompress(b"cba", "test/reverse") == b"abc"
        assert {"reverse", "test/reverse", "zstd"} <= set(names())
    finally:
        del compression._codecs["test/reverse"], compression._aliases["reverse"]
