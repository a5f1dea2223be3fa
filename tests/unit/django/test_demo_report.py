"""Whole files: from the sample to the report, its text and its chart."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from analysis.analyse import analyse_file
from analysis.chart import bar_chart
from analysis.errors import UnreadableFile
from analysis.sample import SAMPLE_LINES, sample_lines, write_sample
from analysis.summary import summarize

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "access.log"
    write_sample(path, count=20_000)
    return path


def test_the_sample_is_the_same_each_time_and_large_by_default() -> None:
    assert list(sample_lines(5_000)) == list(sample_lines(5_000))
    assert SAMPLE_LINES >= 200_000


def test_the_sample_announces_how_far_it_is(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    write_sample(tmp_path / "deep" / "access.log", lambda *at: seen.append(at), count=10_000)

    assert seen == [(done, 10_000) for done in range(2_000, 10_001, 2_000)]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["access.log"]


def test_a_sample_that_cannot_be_finished_leaves_nothing(tmp_path: Path) -> None:
    def fail(_done: int, _total: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        write_sample(tmp_path / "access.log", fail, count=10_000)

    assert list(tmp_path.iterdir()) == []


def test_the_sample_is_read_as_a_log_with_its_incident(sample: Path) -> None:
    report = analyse_file(sample)

    assert report["kind"] == "access log"
    assert (report["lines"], report["requests"], report["malformed"]) == (20_000, 19_996, 4)
    assert report["bytes"] == sample.stat().st_size
    assert sum(count for _status, count in report["statuses"]) == 19_996
    assert sum(count for _hour, count in report["traffic"]["bars"]) == 19_996
    assert dict(report["statuses"])["502"] > 10
    assert "/search" in [row["path"] for row in report["slowest"][:2]]


def test_progress_is_told_in_bytes_of_the_file(sample: Path) -> None:
    seen: list[tuple[int, int]] = []

    analyse_file(sample, lambda *at: seen.append(at))

    size = sample.stat().st_size
    assert {total for _done, total in seen} == {size}
    assert seen[-1] == (size, size)
    assert len(seen) > 10


def test_the_report_as_text_fits_a_terminal(sample: Path) -> None:
    text = summarize(analyse_file(sample))

    assert "access log: 20,000 lines" in text
    assert "requests per hour" in text
    assert "/search" in text
    assert max(len(line) for line in text.splitlines()) <= 100


def test_a_table_is_described_as_text(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("name,stars\na,1\nb,5\nc,5\n", encoding="utf-8")

    text = summarize(analyse_file(path))

    assert "table: 3 rows" not in text
    assert "table: 4 lines" in text
    assert "distribution of stars" in text


def test_a_csv_of_one_column_is_known_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "numbers.csv"
    path.write_text("value\n3\n4\n8\n", encoding="utf-8")

    report = analyse_file(path)

    assert (report["kind"], report["rows"], report["columns"][0]["mean"]) == ("table", 3, 5)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\n \n\n", "blank lines"),
        (
            b"Dear diary,\ntoday I did nothing.\nTomorrow, maybe, more.\n",
            "neither an access log nor a table",
        ),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "PNG picture"),
    ],
)
def test_a_file_that_cannot_be_analysed_is_refused_with_the_reason(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "upload.log"
    path.write_bytes(content)

    with pytest.raises(UnreadableFile, match=reason):
        analyse_file(path)


def test_a_file_of_one_huge_line_is_read_within_bounds(tmp_path: Path) -> None:
    path = tmp_path / "huge.csv"
    path.write_bytes(b"a,b\n" + b"1," * 1_000_000 + b"\n2,3\n")

    report = analyse_file(path)

    assert report["overlong"] == 1
    assert report["rows"] == 2
    assert report["columns"][0]["maximum"] == 2


def test_the_chart_is_well_formed_and_draws_what_it_is_given() -> None:
    root = ET.fromstring(
        bar_chart(
            [("<a> & b", 3), ("c", 0), ("d", 12)], title='Say "when"', unit="requests"
        ).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ')
    )

    heights = [float(bar.attrib["height"]) for bar in root.iter(f"{SVG}rect")]
    assert heights[0] == pytest.approx(heights[2] / 4, abs=0.1)
    assert heights[1] == 0
    assert root.attrib["aria-label"] == 'Say "when"'
    assert root.find(f".//{SVG}title").text == "<a> & b · requests: 3"


@pytest.mark.parametrize(
    ("largest", "top"),
    [
        (0, "4"),
        (1, "4"),
        (4, "4"),
        (5, "8"),
        (17, "20"),
        (9, "20"),
        (81, "100"),
        (19_102, "20,000"),
    ],
)
def test_the_axis_ends_at_a_round_number_not_below_the_largest_bar(largest: int, top: str) -> None:
    svg = bar_chart([("a", largest)], title="t", unit="u")

    ticks = [line.partition('text-anchor="end">')[2] for line in svg.splitlines()]
    assert [tick.partition("<")[0] for tick in ticks if tick][-1] == top


def test_a_chart_of_nothing_is_still_a_chart() -> None:
    assert "<svg" in bar_chart([], title="t", unit="u")
