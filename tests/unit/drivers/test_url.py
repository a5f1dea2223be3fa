"""What is shown of a URL."""

from __future__ import annotations

import pytest

from umbel.drivers.url import hide_password, scheme_of


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://:secret@localhost:6379/0", "redis://:**@localhost:6379/0"),
        ("redis://user:secret@localhost/0", "redis://user:**@localhost/0"),
        ("rediss://user:sec%40ret@[::1]:6379/0?x=1", "rediss://user:**@[::1]:6379/0?x=1"),
        ("redis://user@localhost/0", "redis://user@localhost/0"),
        ("amqp://user:secret@host//vhost", "amqp://user:**@host//vhost"),
        ("db+postgresql+psycopg://u:secret@h/d", "db+postgresql+psycopg://u:**@h/d"),
        ("sqlite:///umbel.sqlite3", "sqlite:///umbel.sqlite3"),
        ("sqla+sqlite:////srv/a:b@c/umbel.sqlite3", "sqla+sqlite:////srv/a:b@c/umbel.sqlite3"),
        ("memory://", "memory://"),
        ("memory://name", "memory://name"),
        ("", ""),
    ],
)
def test_the_password_is_hidden_and_the_rest_is_shown(url, shown):
    assert hide_password(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "redis://:se/cret@localhost/0",
        "redis://:se@cret@localhost/0",
        "redis://:se?cret@localhost/0",
        "redis://:se#cret@localhost/0",
        "redis://:se:cret@localhost/0",
        "redis://:se;cret@localhost/0",
        "redis://localhost:6379/0?password=secret&db=1",
        "redis://localhost:6379/0?db=1&PASSWORD=secret",
        "redis+socket:///tmp/redis.sock?password=secret",
        "sentinel://localhost/0?sentinel_password=secret;sentinel://other",
        "user:secret@localhost:6379",
        "secret@localhost:6379",
        " redis://:secret@localhost/0",
    ],
)
def test_no_part_of_a_password_is_shown_however_it_was_written(url):
    shown = hide_password(url)
    assert "cret" not in shown
    assert "se" not in shown.replace("sentinel", "").replace("user", "")
    assert "**" in shown
    assert "localhost" in shown or ".sock" in shown


def test_each_url_of_a_list_is_cleaned():
    urls = "sentinel://:one@a:26379;sentinel://b:26379/0;sentinel://u:two@c:26379"
    assert (
        hide_password(urls) == "sentinel://:**@a:26379;sentinel://b:26379/0;sentinel://u:**@c:26379"
    )


def test_a_password_that_looks_like_a_host_is_hidden():
    assert hide_password("redis://:10.0.0.1@localhost/0") == "redis://:**@localhost/0"


@pytest.mark.parametrize(
    ("url", "scheme"),
    [
        ("redis://localhost", "redis"),
        ("REDIS://localhost", "redis"),
        ("redis+socket:///tmp/x.sock", "redis+socket"),
        ("sqla+sqlite:///x", "sqla+sqlite"),
        ("sentinel://a;sentinel://b", "sentinel"),
        ("memory://", "memory"),
        ("localhost:6379", None),
        ("://localhost", None),
        ("", None),
    ],
)
def test_the_scheme_stands_before_the_slashes(url, scheme):
    assert scheme_of(url) == scheme
