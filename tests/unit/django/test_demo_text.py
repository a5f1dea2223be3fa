"""Bytes into lines: encodings, limits, and what is refused."""

from __future__ import annotations

import gzip
import io
import random

import pytest
from analysis.errors import UnreadableFile
from analysis.text import LINE_LIMIT, TextLines, detect_encoding


def lines_of(content: bytes) -> tuple[list[str], TextLines]:
    lines = TextLines(io.BytesIO(content))
    return list(lines), lines


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("Größe,Preis\n".encode(), "utf-8"),
        ("Größe,Preis\n".encode("utf-8-sig"), "utf-8-sig"),
        ("Größe,Preis\n".encode("utf-16"), "utf-16"),
        ("Größe,Preis\n".encode("utf-16-le"), "utf-16-le"),
        ("Größe,Preis\n".encode("utf-16-be"), "utf-16-be"),
        ("Größe,Preis\n".encode("cp1252"), "cp1252"),
    ],
)
def test_the_encoding_is_found_and_the_text_is_right(content: bytes, encoding: str) -> None:
    read, lines = lines_of(content)

    assert lines.encoding == encoding
    assert read == ["Größe,Preis"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_in_any_of_the_usual_ways(end: str) -> None:
    assert lines_of(f"one{end}two{end}{end}three".encode())[0] == ["one", "two", "", "three"]


def test_an_empty_file_is_refused_as_empty() -> None:
    with pytest.raises(UnreadableFile, match="empty"):
        lines_of(b"")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (gzip.compress(b"GET / 200\n" * 100, mtime=0), "gzip archive: unpack it first"),
        (b"PK\x03\x04" + b"x" * 100, "ZIP archive or a spreadsheet"),
        (b"\x89PNG\r\n\x1a\n" + b"\x00" * 50, "PNG picture"),
        (b"some text\x00and more\x00", "NUL bytes"),
        (random.Random(1).randbytes(50_000).replace(b"\x00", b""), "binary data"),
        (random.Random(2).randbytes(50_000), "NUL bytes"),
    ],
)
def test_binary_data_is_refused_with_what_it_is(content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableFile, match=reason):
        lines_of(content)


def test_a_character_cut_at_the_end_of_the_head_does_not_make_it_another_encoding() -> None:
    assert detect_encoding("ab€".encode()[:-1]) == "utf-8"


def test_a_huge_line_is_cut_and_the_next_one_is_whole() -> None:
    read, lines = lines_of(b"a" * (5 * LINE_LIMIT) + b"\nnext\n")

    assert [len(line) for line in read] == [LINE_LIMIT, 4]
    assert (lines.count, lines.overlong) == (2, 1)


def test_a_line_of_exactly_the_limit_is_not_overlong() -> None:
    read, lines = lines_of(b"a" * LINE_LIMIT + b"\nnext\n")

    assert [len(line) for line in read] == [LINE_LIMIT, 4]
    assert lines.overlong == 0


def test_bytes_that_spoil_the_encoding_late_in_the_file_are_counted() -> None:
    read, lines = lines_of(b"fine\n" * 20_000 + b"caf\xe9\nfine\n")

    assert read[-2:] == ["caf\ufffd", "fine"]
    assert lines.undecodable == 1


def test_progress_grows_to_the_size_of_the_file() -> None:
    content = b"x" * 99 + b"\n"
    seen: list[int] = []

    list(TextLines(io.BytesIO(content * 20_000), seen.append))

    assert seen == sorted(seen)
    assert len(seen) >= 5
    assert seen[-1] == 2_000_000
