"""SQLite URLs: which file they name, and what is wrong with those that name none."""

from __future__ import annotations

from pathlib import Path

import pytest

from umbel.drivers.sql import open_driver
from umbel.drivers.sql.sqlite_url import parse_url
from umbel.exceptions import ImproperlyConfigured


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////var/lib/app/umbel.db", "/var/lib/app/umbel.db"),
        ("db+sqlite:////var/lib/app/results.db", "/var/lib/app/results.db"),
        ("sqla+sqlite:////var/lib/app/umbel.db", "/var/lib/app/umbel.db"),
        ("  sqlite:////var/lib/app/umbel.db", "/var/lib/app/umbel.db"),
        ("sqlite:////srv/my%20app/100%25.db", "/srv/my app/100%.db"),
        ("sqlite:////srv/größe.db?synchronous=full", "/srv/größe.db"),
    ],
)
def test_the_path_follows_the_third_slash(url, path):
    assert parse_url(url, {}).path == Path(path)


def test_a_relative_path_belongs_to_the_present_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = parse_url("sqlite:///data/umbel.db", {})
    monkeypatch.chdir("/")
    assert found.path == tmp_path / "data/umbel.db"


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite://:memory:"]
)
def test_a_database_in_memory_is_refused_with_a_hint(url):
    with pytest.raises(ImproperlyConfigured, match="memory://"):
        parse_url(url, {})


def test_two_slashes_are_refused_with_the_right_spelling():
    with pytest.raises(ImproperlyConfigured, match="sqlite:///relative"):
        parse_url("sqlite://umbel.db", {})


def test_a_directory_is_refused(tmp_path):
    for url in (f"sqlite:///{tmp_path}", "sqlite:////no/such/place/"):
        with pytest.raises(ImproperlyConfigured, match="directory"):
            parse_url(url, {})


def test_options_come_from_the_url_or_from_the_settings():
    plain = parse_url("sqlite:////a.db", {})
    assert (plain.synchronous, plain.timeout) == ("normal", 5.0)
    found = parse_url("sqlite:////a.db?timeout=1.5", {"synchronous": "FULL", "timeout": 9})
    assert (found.synchronous, found.timeout) == ("full", 1.5)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("synchronos=full", "did you mean 'synchronous'"),
        ("timeot=3", "did you mean 'timeout'"),
        ("synchronous=always", "off, normal, full, extra"),
        ("timeout=soon", "number of seconds"),
        ("timeout=-1", "number of seconds"),
        ("timeout=nan", "number of seconds"),
    ],
)
def test_a_wrong_option_is_refused(option, message):
    with pytest.raises(ImproperlyConfigured, match=message):
        parse_url(f"sqlite:////a.db?{option}", {})


def test_a_driver_is_made_without_touching_the_file(tmp_path):
    driver = open_driver(f"sqlite:///{tmp_path}/umbel.db")
    assert driver.display_url == f"sqlite:///{tmp_path}/umbel.db"
    assert list(tmp_path.iterdir()) == []


def test_drivers_of_one_file_are_known_as_such_however_it_is_spelled(tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    spellings = [
        f"sqlite:///{tmp_path}/a.db",
        "db+sqlite:///a.db",
        f"sqlite:///{tmp_path}/link/a.db",
    ]
    assert len({open_driver(url).database for url in spellings}) == 1
    assert open_driver("sqlite:///b.db").database != open_driver("sqlite:///a.db").database


def test_another_scheme_is_refused_with_the_known_ones():
    with pytest.raises(ImproperlyConfigured, match=r"did you mean 'sqlite'"):
        open_driver("sqlit:///a.db")
