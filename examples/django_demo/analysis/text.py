"""Turns the bytes of an uploaded file into lines: decoded, of bounded length, counted.

Nothing here holds more than one line, so a file may be larger than memory and a line may be
larger than is sensible. What a line means is for ``access_log`` and ``table`` to say.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Iterator
from typing import BinaryIO

from analysis.errors import UnreadableFile

__all__ = ["LINE_LIMIT", "TextLines", "detect_encoding"]

#: Characters kept of one line.
LINE_LIMIT = 65_536
_HEAD_SIZE = 65_536
_REPORT_EVERY = 262_144
_CONTROL_SHARE_OF_BINARY = 0.02

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SIGNATURES = (
    (b"\x1f\x8b", "a gzip archive: unpack it first"),
    (b"BZh", "a bzip2 archive: unpack it first"),
    (b"\xfd7zXZ", "an xz archive: unpack it first"),
    (b"PK\x03\x04", "a ZIP archive or a spreadsheet: unpack it, or save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Office document: save the sheet as CSV"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x7fELF", "a program"),
    (b"SQLite format 3\x00", "an SQLite database: export a table as CSV"),
)


def detect_encoding(head: bytes) -> str:
    """The encoding of a text that begins with these bytes; UnreadableFile when it is no text."""
    if not head:
        raise UnreadableFile("The file is empty.")
    for mark, encoding in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return encoding
    for signature, description in _SIGNATURES:
        if head.startswith(signature):
            raise UnreadableFile(f"This is not a text file but {description}.")
    if b"\x00" in head:
        return _detect_utf16(head)
    if _control_share(head) > _CONTROL_SHARE_OF_BINARY:
        raise UnreadableFile("This is not a text file: its first bytes are binary data.")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _detect_utf16(head: bytes) -> str:
    """UTF-16 without a byte order mark has its NUL bytes on one side of nearly every pair."""
    pairs = len(head) // 2
    even, odd = head[0::2].count(0), head[1::2].count(0)
    for zeros, others, encoding in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if zeros > 0.6 * pairs and others < 0.02 * pairs + 1:
            return encoding
    raise UnreadableFile("This is not a text file: it contains NUL bytes.")


def _control_share(head: bytes) -> float:
    controls = bytes(set(range(32)) - set(b"\t\n\r\f\x1b")) + b"\x7f"
    return 1 - len(head.translate(None, controls)) / len(head)


class TextLines:
    """Iterates over the lines of a binary file, once, without their line ends.

    ``on_progress`` is called with the number of bytes read so far, a few times per megabyte.
    """

    def __init__(
        self, source: BinaryIO, on_progress: Callable[[int], None] = lambda _done: None
    ) -> None:
        head = source.read(_HEAD_SIZE)
        source.seek(0)
        self.encoding = detect_encoding(head)
        self.count = 0
        #: Lines cut at LINE_LIMIT characters.
        self.overlong = 0
        #: Lines with bytes that are not of the encoding.
        self.undecodable = 0
        self._source = source
        self._on_progress = on_progress
        self._unreported = 0

    def __iter__(self) -> Iterator[str]:
        text = io.TextIOWrapper(self._source, self.encoding, errors="replace", newline="")
        try:
            while line := text.readline(LINE_LIMIT):
                self.count += 1
                self._advance(line)
                if len(line) == LINE_LIMIT and line[-1] not in "\r\n":
                    self._skip_rest(text)
                if "\ufffd" in line:
                    self.undecodable += 1
                yield line.rstrip("\r\n")
        finally:
            text.detach()
        self._on_progress(self._source.tell())

    def _skip_rest(self, text: io.TextIOWrapper) -> None:
        rest = text.readline(LINE_LIMIT)
        if rest.strip("\r\n"):
            self.overlong += 1
        while rest and rest[-1] not in "\r\n":
            self._advance(rest)
            rest = text.readline(LINE_LIMIT)

    def _advance(self, line: str) -> None:
        self._unreported += len(line)
        if self._unreported >= _REPORT_EVERY:
            self._unreported = 0
            self._on_progress(self._source.tell())
