"""Tables: separators, headers, types of columns, and rows that are not right."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest
from analysis.table import COLUMN_LIMIT, Table, detect_separator

CITIES = """\
id,city,founded,area,population
1,Aachen,0765-01-01,160.85,252769
2,"Halle, Saale",0806-05-01,135.02,
3,Zürich,1218-01-01,87.88,436551
"""


def report_of(lines: str | Iterable[str], separator: str = ",") -> dict[str, Any]:
    table = Table(separator)
    table.read(lines.splitlines() if isinstance(lines, str) else lines)
    return table.report()


def columns_of(lines: str, separator: str = ",") -> dict[str, dict[str, Any]]:
    return {column["name"]: column for column in report_of(lines, separator)["columns"]}


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found(separator: str) -> None:
    text = f"a{separator}b{separator}c\n1{separator}2{separator}3\n\n"

    assert detect_separator(text.splitlines()) == separator


def test_a_separator_inside_quotes_does_not_count() -> None:
    assert detect_separator(["name;note", '"a";"x, y, z"', '"b";"x, y"']) == ";"


def test_prose_has_no_separator() -> None:
    assert (
        detect_separator(["It was a dark night.", "Nobody saw it, or so they said.", "Who knows"])
        is None
    )


def test_each_column_has_its_type_and_range() -> None:
    columns = columns_of(CITIES)

    assert [column["type"] for column in columns.values()] == [
        "integer", "text", "date", "decimal", "integer",
    ]  # fmt: skip
    assert columns["area"]["minimum"] == 87.88
    assert columns["area"]["maximum"] == 160.85
    assert columns["area"]["mean"] == pytest.approx(127.917, abs=0.001)
    assert columns["population"] | {"mean": None} == {
        "name": "population",
        "type": "integer",
        "filled": 2,
        "empty": 1,
        "exceptions": 0,
        "minimum": 252769,
        "maximum": 436551,
        "mean": None,
    }
    assert columns["city"]["maximum"] == "Zürich"
    assert columns["founded"]["minimum"] == "0765-01-01"


def test_rows_are_counted_without_the_header() -> None:
    report = report_of(CITIES)

    assert (report["rows"], report["width"], report["header"]) == (3, 5, True)


def test_a_first_row_of_numbers_is_data() -> None:
    report = report_of("1,2\n3,4\n")

    assert (report["rows"], report["header"]) == (2, False)
    assert [column["name"] for column in report["columns"]] == ["Column 1", "Column 2"]


def test_a_decimal_comma_is_a_number_where_the_separator_is_a_semicolon() -> None:
    column = columns_of("name;price\na;1.234,50\nb;0,50\n", ";")["price"]

    assert (column["type"], column["minimum"], column["maximum"]) == ("decimal", 0.5, 1234.5)


@pytest.mark.parametrize("word", ["nan", "inf", "-Infinity", "1_000", "0x10"])
def test_words_that_python_takes_for_numbers_are_text(word: str) -> None:
    assert columns_of(f"a,b\n{word},1\n")["a"]["type"] == "text"


def test_a_few_words_do_not_make_a_numeric_column_text() -> None:
    lines = ["value,x", *(f"{number},y" for number in range(18)), "n/a,y"]

    [column, _] = report_of(lines)["columns"]

    assert (column["type"], column["exceptions"], column["maximum"]) == ("integer", 1, 17)


def test_rows_of_another_width_are_counted_and_their_cells_used() -> None:
    report = report_of("a,b\n1,2\n3\n4,5,6\n")

    assert report["uneven"] == 2
    assert [column["filled"] for column in report["columns"]] == [3, 2]


def test_a_quote_that_never_closes_spoils_its_row_but_not_the_rest() -> None:
    lines = ["a,b", "1,2", '3,"open', *["4,5"] * 60_000]

    report = report_of(lines)

    assert report["malformed"] == 1
    assert report["rows"] > 20_000


def test_a_quoted_cell_may_hold_several_lines() -> None:
    report = report_of('a,b\n1,"two\nlines"\n2,one\n')

    assert report["rows"] == 2
    assert report["columns"][1]["minimum"] == "one"


def test_more_columns_than_the_limit_are_only_counted() -> None:
    report = report_of(",".join(f"c{number}" for number in range(COLUMN_LIMIT + 50)) + "\n")

    assert report["width"] == COLUMN_LIMIT + 50
    assert len(report["columns"]) == COLUMN_LIMIT
    assert report["columns"][0]["type"] == "empty"


def test_the_histogram_passes_over_row_numbers_and_counts_every_value() -> None:
    chance = random.Random(7)
    lines = ["id,weight", *(f"{number},{chance.uniform(50, 90):.2f}" for number in range(1_000))]

    histogram = report_of(lines)["histogram"]

    assert histogram["column"] == "weight"
    assert len(histogram["bars"]) == 20
    assert sum(count for _label, count in histogram["bars"]) == 1_000
    assert not histogram["sampled"]


def test_integers_of_a_small_range_have_a_bar_each() -> None:
    histogram = report_of("name,stars\na,1\nb,5\nc,5\nd,3\n")["histogram"]

    assert histogram["bars"] == [["1", 1], ["2", 0], ["3", 1], ["4", 0], ["5", 2]]


def test_a_table_without_numbers_has_no_histogram() -> None:
    assert report_of("a,b\nx,y\n")["histogram"] is None


def test_many_values_are_sampled_and_the_sample_is_the_same_each_time() -> None:
    chance = random.Random(3)
    lines = ["x,y", *(f"{chance.gauss(0, 1):.4f},a" for _ in range(20_000))]

    first, second = report_of(lines)["histogram"], report_of(lines)["histogram"]

    assert first == second
    assert first["sampled"]
    assert sum(count for _label, count in first["bars"]) == 5_000
