"""Writes a day of a small shop's access log: the same lines every time, made of no real visitor.

Addresses come from the ranges reserved for documentation. The traffic sleeps at night, peaks in
the evening and has an incident at 14:00 (slow search, errors 502), so that the report has
something to show.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["SAMPLE_LINES", "sample_lines", "write_sample"]

SAMPLE_LINES = 240_000
_DAY = "14/Mar/2026"
_MALFORMED_EVERY = 4_001
_INCIDENT_HOUR = 14
_CHUNK = 2_000

#: Share of the day's requests in each hour.
_HOURS = (14, 9, 6, 5, 5, 8, 17, 33, 48, 55, 58, 60, 62, 57, 55, 54, 56, 60, 68, 77, 82, 70, 45, 26)

#: (path, weight, typical size in bytes, typical seconds)
_PAGES = (
    ("/", 90, 18_400, 0.045),
    ("/products/", 60, 31_200, 0.082),
    ("/search", 48, 22_700, 0.240),
    ("/cart", 22, 9_100, 0.061),
    ("/checkout", 9, 12_300, 0.190),
    ("/api/stock", 64, 410, 0.018),
    ("/api/recommendations", 40, 3_800, 0.134),
    ("/account/orders", 8, 14_900, 0.155),
    ("/account/login", 14, 6_200, 0.210),
    ("/static/site.css", 70, 24_100, 0.002),
    ("/static/site.js", 70, 88_300, 0.003),
    ("/static/logo.svg", 55, 2_400, 0.001),
    ("/favicon.ico", 30, 1_150, 0.001),
    ("/robots.txt", 4, 120, 0.001),
    ("/reports/monthly.pdf", 1, 1_840_000, 1.900),
    ("/.env", 2, 162, 0.001),
    ("/wp-login.php", 4, 162, 0.001),
)
_MISSING = {"/.env", "/wp-login.php"}
_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:136.0) Gecko/20100101 Firefox/136.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/134.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/134.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (compatible; ExampleBot/2.1; +https://bot.example/about)",
    "curl/8.12.1",
)
_AGENT_WEIGHTS = (14, 30, 12, 22, 18, 6, 1)
_REFERERS = (
    "-",
    "https://shop.example/",
    "https://shop.example/products/",
    "https://search.example/",
)
_MALFORMED = (
    "192.0.2.44 - - [14/Mar/2026:",
    '198.51.100.9 - - [14/Mar/2026:25:61:00 +0000] "GET / HTTP/1.1" 200 18400',
    "worker process 2219 exited on signal 11",
)


def write_sample(
    path: Path,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    count: int = SAMPLE_LINES,
) -> None:
    """Write the sample to ``path``. It appears there only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as target:
            for number, line in enumerate(sample_lines(count), 1):
                target.write(line)
                if number % _CHUNK == 0:
                    on_progress(number, count)
        Path(unfinished).replace(path)
    except BaseException:
        Path(unfinished).unlink()
        raise


def sample_lines(count: int = SAMPLE_LINES) -> Iterator[str]:
    """``count`` lines in the order of time, each with its line end."""
    chance = random.Random(20260314)
    written = 0
    for hour in range(24):
        upto = round(count * sum(_HOURS[: hour + 1]) / sum(_HOURS))
        moments = sorted(chance.choices(range(3600), k=upto - written))
        requests = chance.choices(_PAGES, [page[1] for page in _PAGES], k=len(moments))
        agents = chance.choices(_AGENTS, _AGENT_WEIGHTS, k=len(moments))
        for second, page, agent in zip(moments, requests, agents, strict=True):
            written += 1
            if written % _MALFORMED_EVERY == 0:
                yield f"{_MALFORMED[written // _MALFORMED_EVERY % len(_MALFORMED)]}\n"
                continue
            moment = f"{hour:02}:{second // 60:02}:{second % 60:02}"
            yield _line(chance, hour, moment, page, agent)


def _line(
    chance: random.Random, hour: int, moment: str, page: tuple[str, int, int, float], agent: str
) -> str:
    path, _weight, size, seconds = page
    luck = chance.random()
    incident = hour == _INCIDENT_HOUR and path == "/search"
    status, size = _answer(path, size, luck, incident)
    seconds *= (8 if incident else 1) * chance.lognormvariate(0, 0.4)
    size = size if path.startswith("/static/") else int(size * (0.7 + 0.6 * luck))
    return (
        f"{_address(luck)} - - [{_DAY}:{moment} +0000] "
        f'"{_request(path, luck)} HTTP/1.1" {status} {size or "-"} '
        f'"{_REFERERS[int(luck * 7919) % 4]}" "{agent}" {seconds:.3f}\n'
    )


def _answer(path: str, size: int, luck: float, incident: bool) -> tuple[int, int]:
    if path in _MISSING:
        return 404, size
    if incident and luck > 0.7:  # noqa: PLR2004 - a share of the requests
        return 502, 559
    if path.startswith("/static/") and luck < 0.35:  # noqa: PLR2004
        return 304, 0
    if path == "/account/login":
        return 302, 0
    for limit, status in ((0.002, 500), (0.014, 404), (0.02, 301), (0.024, 403)):
        if luck < limit:
            return status, 548
    return 200, size


def _address(luck: float) -> str:
    visitor = int(luck * 1_000_003) % 700
    if visitor < 100:  # noqa: PLR2004 - some visitors come over IPv6
        return f"2001:db8::{visitor + 16:x}"
    return f"{('192.0.2', '198.51.100', '203.0.113')[visitor % 3]}.{visitor % 254 + 1}"


def _request(path: str, luck: float) -> str:
    number = int(luck * 104_729)
    if path == "/search":
        return f"GET /search?q=item{number % 977}"
    if path == "/products/":
        return f"GET /products/{number % 120 + 1}"
    if path in {"/account/login", "/checkout"}:
        return f"POST {path}"
    return f"GET {path}"
