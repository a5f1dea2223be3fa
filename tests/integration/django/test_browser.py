"""The demonstration in a real browser: what a person sees, clicks and waits for.

Chromium runs without a window, with an empty profile and home of its own, and can reach nothing
but this machine. Whatever a page loads, and whatever its scripts complain about, is noted down;
no test passes with a request to another host or with an error in the console.
"""

from __future__ import annotations

import os
import random
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from scripts.services import SERVERS
from tests.integration.django.test_demo import (
    DEMO,
    Child,
    demonstration,
    run_to_end,
    wait_for_answer,
)

pytestmark = pytest.mark.chromium

PATIENCE = 30_000  # milliseconds
NARROW, WIDE = 360, 1100
OPTIONS = (
    "--no-sandbox",  # it does not start as root otherwise, and sees only pages of ours
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
ORDERS = "id,customer,amount\n" + "".join(
    f"{number},Customer {number % 7},{number / 4:.2f}\n" for number in range(1, 301)
)
Visit = Callable[..., AbstractContextManager[Page]]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = next(server for server in SERVERS if server.marker == "chromium").find()
    home = tmp_path_factory.mktemp("home")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=program, args=OPTIONS, env={**os.environ, "HOME": str(home)}
        )
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with demonstration(tmp_path_factory.mktemp("demo")) as site:
        yield site.address


@pytest.fixture
def visit(browser: Browser) -> Visit:
    @contextmanager
    def opened(address: str, width: int = WIDE, **options: Any) -> Iterator[Page]:
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        context.set_default_timeout(PATIENCE)
        hosts: set[str | None] = set()
        complaints: list[str] = []
        context.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
        context.on("weberror", lambda problem: complaints.append(str(problem.error)))
        context.on(
            "console",
            lambda said: said.type in {"error", "warning"} and complaints.append(said.text),
        )
        page = context.new_page()
        page.goto(address)
        yield page
        context.close()
        assert hosts == {"127.0.0.1"}
        assert complaints == []

    return opened


def upload(page: Page, path: Path) -> None:
    """Choose the file, send the form and wait for the report."""
    page.get_by_label("File to analyse").set_input_files(path)
    page.get_by_role("button", name="Upload and analyse").click()
    expect(page.locator("dl.figures")).to_be_visible(timeout=PATIENCE)


def figures(page: Page) -> dict[str, str]:
    """The numbers at the head of a report."""
    names = page.locator("dl.figures dt").all_inner_texts()
    return dict(zip(names, page.locator("dl.figures dd").all_inner_texts(), strict=True))


def rows(page: Page, section: str) -> list[list[str]]:
    """The texts of the table in the section of this name."""
    lines = page.get_by_role("region", name=section).first.locator("tbody tr").all()
    return [line.locator("th, td").all_inner_texts() for line in lines]


def boxes(elements: Locator) -> list[dict[str, float]]:
    """Where these are painted, those that are."""
    return [box for element in elements.all() if (box := element.bounding_box()) is not None]


def overlap(one: dict[str, float], other: dict[str, float]) -> bool:
    return all(
        one[start] < other[start] + other[length] and other[start] < one[start] + one[length]
        for start, length in (("x", "width"), ("y", "height"))
    )


def test_the_sample_is_watched_from_the_click_to_the_report(visit: Visit, address: str) -> None:
    with visit(address) as page:
        page.get_by_role("button", name="Use the generated sample").click()

        expect(page.get_by_role("heading", level=1)).to_have_text("Sample of 240,000 lines")
        expect(page.locator("#percent")).to_have_text(re.compile(r"\d+ %"), timeout=PATIENCE)
        expect(page).to_have_title(re.compile(r"^\d+ % · Sample"))
        assert page.get_by_role("progressbar").get_attribute("value") is not None

        chart = page.get_by_role("img", name="Requests per hour")
        expect(chart).to_be_visible(timeout=PATIENCE)
        assert figures(page)["Lines"] == "240,000"
        heights = [box["height"] for box in boxes(chart.locator(".bar"))]
        assert len(heights) == 24
        assert max(heights) == heights[20] > 10 * heights[3] > 10
        assert [row[0] for row in rows(page, "Slowest paths")][:2] == [
            "/reports/monthly.pdf",
            "/search",
        ]
        expect(page.get_by_role("row", name="502 Bad Gateway 325 0.1 %")).to_be_visible()


def test_a_table_goes_through_the_form(visit: Visit, address: str, tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(ORDERS)

    with visit(address) as page:
        upload(page, path)

        expect(page.get_by_role("heading", level=1)).to_have_text("orders.csv")
        assert (figures(page)["Rows"], figures(page)["Separator"]) == ("300", "comma")
        bars = page.get_by_role("img", name="Distribution of “amount”").locator(".bar")
        assert {round(box["height"]) for box in boxes(bars)[1:-1]} == {
            round(boxes(bars)[1]["height"])
        }
        page.get_by_text("The same as a table").click()
        expect(page.get_by_role("row", name="5 to 10")).to_be_visible()
        assert rows(page, "Columns") == [
            ["id", "integer", "300", "0", "1", "300", "150.5"],
            ["customer", "text", "300", "0", "Customer 0", "Customer 6", "–"],  # noqa: RUF001 - as on the page
            ["amount", "decimal", "300", "0", "0.25", "75", "37.625"],
        ]
        page.get_by_role("link", name="Another file").click()
        expect(page.get_by_role("link", name="orders.csv")).to_be_visible()


def log_of_three_days() -> str:
    return "".join(
        f'192.0.2.1 - - [{day:02}/Feb/2026:{hour:02}:00:00 +0000] "GET /{"a" * 200} HTTP/1.1" '
        "200 512\n"
        for day in (1, 2, 3)
        for hour in range(24)
    )


def table_of_large_numbers() -> str:
    chance = random.Random(5)
    lines = [f"{chance.uniform(-4e8, 9e8):.3f};{'long ' * 30}" for _ in range(200)]
    return "\n".join([f"{'amount' * 12};text", *lines])


@pytest.mark.parametrize("width", [NARROW, WIDE])
@pytest.mark.parametrize("write", [log_of_three_days, table_of_large_numbers])
def test_nothing_runs_into_anything_on_narrow_and_wide_pages(
    visit: Visit, address: str, tmp_path: Path, width: int, write: Callable[[], str]
) -> None:
    path = tmp_path / ("a_name_without_a_space_" * 5 + ".csv")
    path.write_text(write())

    with visit(address, width=width) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == width
        upload(page, path)

        assert page.evaluate("document.documentElement.scrollWidth") == width
        chart = page.locator("svg.chart")
        labels = boxes(chart.locator("text"))
        assert len(labels) > 6
        assert not [pair for pair in combinations(labels, 2) if overlap(*pair)]
        (frame,) = boxes(chart)
        assert min(label["x"] for label in labels) >= frame["x"]
        assert max(label["x"] + label["width"] for label in labels) <= frame["x"] + frame["width"]
        assert min(label["height"] for label in labels) > 10


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_keyboard_reaches_everything_and_shows_where_it_is(
    visit: Visit, address: str, scheme: str
) -> None:
    with visit(address, color_scheme=scheme) as page:
        reached = []
        for _ in range(5):
            page.keyboard.press("Tab")
            focused = page.locator(":focus")
            outline = focused.evaluate("element => getComputedStyle(element).outline")
            assert "solid 3px" in outline
            reached.append(focused.evaluate("element => element.textContent.trim() || element.id"))

        assert reached == [
            "Skip to the content",
            "Umbel demo",
            "id_file",
            "Upload and analyse",
            "Use the generated sample",
        ]


def test_the_page_of_a_refused_form_can_be_opened_again(visit: Visit, address: str) -> None:
    with visit(f"{address}upload/") as page:
        assert page.url == address
        expect(page.get_by_role("button", name="Upload and analyse")).to_be_visible()


def test_without_scripts_the_page_follows_the_job_as_well(
    visit: Visit, address: str, tmp_path: Path
) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(ORDERS)

    with visit(address, java_script_enabled=False) as page:
        upload(page, path)

        assert figures(page)["Rows"] == "300"


def test_a_page_without_a_worker_says_so_and_goes_on_by_itself(
    visit: Visit, tmp_path: Path
) -> None:
    environment = {**os.environ, "DEMO_DATA_DIR": str(tmp_path)}
    manage = [sys.executable, str(DEMO / "manage.py")]
    run_to_end([*manage, "migrate", "-v", "0"], environment)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = f"127.0.0.1:{listener.getsockname()[1]}"
    path = tmp_path / "orders.csv"
    path.write_text(ORDERS)
    with Child("web", [*manage, "runserver", "--noreload", host], environment) as web:
        wait_for_answer(f"http://{host}/", web, time.monotonic() + 20)
        with visit(f"http://{host}/") as page:
            page.get_by_label("File to analyse").set_input_files(path)
            page.get_by_role("button", name="Upload and analyse").click()
            expect(page.get_by_text("Nobody has taken this job yet.")).to_be_hidden()
            expect(page.get_by_text("Nobody has taken this job yet.")).to_be_visible(
                timeout=PATIENCE
            )

            with Child("worker", [*manage, "celery", "worker", "-c", "1"], environment):
                expect(page.locator("dl.figures")).to_be_visible(timeout=PATIENCE)
                assert figures(page)["Rows"] == "300"
