"""Compression of message bodies, under the names and mime types that kombu uses.

The name of the method travels in the ``compression`` header. zlib, bz2 and lzma come with Python;
brotli and zstd work where their packages are installed and are looked for on first use.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from importlib import import_module

from umbel.exceptions import DecodeError, ImproperlyConfigured
from umbel.message.tracebacks import one_line
from umbel.spelling import nearest

__all__ = ["compress", "decompress", "names", "register"]

Codec = tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]

_codecs: dict[str, Codec] = {}
_aliases: dict[str, str] = {}
#: Content type -> modules that can do it, the first one that is installed is used.
_optional = {
    "application/x-bz2": ("bz2",),
    "application/x-lzma": ("lzma",),
    "application/x-brotli": ("brotli", "brotlicffi"),
    "application/zstd": ("compression.zstd", "backports.zstd"),
}


def register(
    encoder: Callable[[bytes], bytes],
    decoder: Callable[[bytes], bytes],
    content_type: str,
    aliases: Iterable[str] = (),
) -> None:
    """Make a method known under its content type and some short names."""
    _codecs[content_type] = (encoder, decoder)
    _aliases.update(dict.fromkeys(aliases, content_type))


def names() -> list[str]:
    """Every name and content type, installed or not, sorted."""
    return sorted({*_aliases, *_codecs, *_optional})


def compress(data: bytes, method: str) -> tuple[bytes, str]:
    """The compressed bytes, and the content type for the ``compression`` header."""
    content_type = _aliases.get(method, method)
    return _codec(content_type, method)[0](data), content_type


def decompress(data: bytes, method: str) -> bytes:
    """The inverse of ``compress``, by name or content type."""
    try:
        decoder = _codec(_aliases.get(method, method), method)[1]
    except ImproperlyConfigured as error:
        raise DecodeError(f"the body cannot be read: {error}") from error
    try:
        return decoder(data)
    except Exception as error:
        raise DecodeError(f"the body is not valid {method} data: {one_line(error)}") from error


def _codec(content_type: str, method: str) -> Codec:
    codec = _codecs.get(content_type)
    if codec is None:
        codec = _codecs[content_type] = _load(content_type, method)
    return codec


def _load(content_type: str, method: str) -> Codec:
    modules = _optional.get(content_type)
    if modules is None:
        hint = nearest(method, names()) or f"; known are {', '.join(names())}"
        raise ImproperlyConfigured(f"there is no compression {method!r}{hint}")
    for name in modules:
        try:
            module = import_module(name)
        except ImportError:
            continue
        return module.compress, module.decompress
    raise ImproperlyConfigured(
        f"compression {method!r} needs the package {' or '.join(modules)}, which is not installed"
    )


def _inflate(data: bytes) -> bytes:
    # kombu's "gzip" is a zlib stream; other clients send what the name says. 32 accepts both.
    return zlib.decompress(data, wbits=zlib.MAX_WBITS | 32)


register(zlib.compress, _inflate, "application/x-gzip", ("gzip", "zlib"))
_aliases |= {
    "bzip2": "application/x-bz2",
    "bzip": "application/x-bz2",
    "lzma": "application/x-lzma",
    "xz": "application/x-lzma",
    "brotli": "application/x-brotli",
    "zstd": "application/zstd",
    "zstandard": "application/zstd",
}
