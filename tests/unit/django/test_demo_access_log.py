"""Access logs: what real servers write, and what they should not."""

from __future__ import annotations

import pytest
from analysis import access_log
from analysis.access_log import AccessLog, looks_like_access_log

COMMON = '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326'
COMBINED = (
    '203.0.113.7 - - [10/Oct/2000:14:02:01 -0700] "GET /start.html?from=mail HTTP/1.1" 304 - '
    '"https://example.com/a \\"quoted\\" page" "Mozilla/4.08 [en] (Win98; I ;Nav)"'
)
NGINX = f"{COMBINED} 0.250"
APACHE = f"{COMBINED} 1500000"
TLS_ON_A_PLAIN_PORT = (
    '198.51.100.3 - - [10/Oct/2000:14:05:00 -0700] "\\x16\\x03\\x01\\x00" 400 157 "-" "-"'
)


def report_of(*lines: str) -> dict:
    log = AccessLog()
    for number, line in enumerate(lines, 1):
        log.add(number, line)
    return log.report()


def test_common_and_combined_lines_are_added_up() -> None:
    report = report_of(COMMON, COMBINED, COMMON)

    assert report["requests"] == 3
    assert report["bytes_sent"] == 2 * 2326
    assert report["statuses"] == [("200", 2), ("304", 1)]
    assert report["malformed"] == 0
    assert [(row["path"], row["requests"]) for row in report["busiest"]] == [
        ("/apache_pb.gif", 2),
        ("/start.html", 1),
    ]


def test_a_log_without_times_has_no_slow_paths() -> None:
    report = report_of(COMMON, COMBINED)

    assert report["slowest"] == []
    assert report["busiest"][0]["mean_seconds"] is None


@pytest.mark.parametrize(("line", "seconds"), [(NGINX, 0.25), (APACHE, 1.5)])
def test_times_are_read_as_each_server_writes_them(line: str, seconds: float) -> None:
    [row] = report_of(line)["slowest"]

    assert (row["mean_seconds"], row["longest_seconds"]) == (seconds, seconds)


def test_the_slowest_path_is_not_one_that_was_slow_once() -> None:
    fast = [NGINX.replace("/start.html", "/often")] * 5
    report = report_of(*fast, APACHE)

    assert [row["path"] for row in report["slowest"]] == ["/often"]


def test_a_request_that_is_no_request_is_counted_under_a_name_of_its_own() -> None:
    report = report_of(TLS_ON_A_PLAIN_PORT)

    assert report["malformed"] == 0
    assert report["busiest"][0]["path"] == "(not a valid request)"


@pytest.mark.parametrize(
    "line",
    [
        "worker process 2219 exited on signal 11",
        COMMON.replace("10/Oct/2000:13", "10/Oct/2000:25"),
        COMMON.replace("10/Oct", "31/Feb"),
        COMMON.replace("Oct", "Okt"),
        COMMON.replace('HTTP/1.0"', "HTTP/1.0"),
        COMMON[:40],
        '"' * 10_000,
    ],
)
def test_a_malformed_line_is_counted_and_shown_with_its_number(line: str) -> None:
    report = report_of(COMMON, line, COMMON)

    assert report["requests"] == 2
    assert report["malformed"] == 1
    assert report["malformed_examples"] == [{"line": 2, "text": line[:160]}]


def test_blank_lines_are_not_malformed() -> None:
    assert report_of(COMMON, "", "   ")["malformed"] == 0


def test_requests_of_one_day_are_shown_by_the_hour_with_the_empty_ones() -> None:
    traffic = report_of(COMMON, COMBINED, COMBINED)["traffic"]

    assert traffic["unit"] == "hour"
    assert len(traffic["bars"]) == 24
    assert traffic["bars"][12:15] == [["12:00", 0], ["13:00", 1], ["14:00", 2]]


def test_requests_over_two_days_name_the_day() -> None:
    traffic = report_of(COMMON, COMMON.replace("10/Oct", "11/Oct"))["traffic"]

    assert traffic["unit"] == "hour"
    assert len(traffic["bars"]) == 48
    assert traffic["bars"][13] == ["10 Oct 13:00", 1]
    assert traffic["bars"][37] == ["11 Oct 13:00", 1]


def test_requests_over_weeks_are_shown_by_the_day_with_the_empty_ones() -> None:
    traffic = report_of(COMMON, COMMON.replace("10/Oct", "30/Oct"))["traffic"]

    assert traffic["unit"] == "day"
    assert len(traffic["bars"]) == 21
    assert (traffic["bars"][0], traffic["bars"][1]) == (["10 Oct", 1], ["11 Oct", 0])


def test_requests_over_a_year_are_shown_by_the_month() -> None:
    traffic = report_of(COMMON, COMMON.replace("/2000", "/2001"))["traffic"]

    assert traffic == {"unit": "month", "bars": [["Oct 2000", 1], ["Oct 2001", 1]]}


def test_more_paths_than_the_limit_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_log, "PATH_LIMIT", 2)

    report = report_of(*(COMMON.replace("apache_pb", f"page{number}") for number in range(5)))

    assert {row["path"]: row["requests"] for row in report["busiest"]} == {
        "/page0.gif": 1,
        "/page1.gif": 1,
        "(other paths)": 3,
    }


def test_a_log_is_told_from_other_text() -> None:
    assert looks_like_access_log([COMMON, "broken", "", COMBINED])
    assert not looks_like_access_log(["a,b,c", "1,2,3"])
    assert not looks_like_access_log([])
