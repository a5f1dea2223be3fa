"""URLs in settings: what a broker and a result backend may be given as.

Part of ``kinds.py``. Only the form is checked; whether there is a driver for the scheme is found out by who opens it.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from umbel.app.settings_table.refused import Refused

__all__ = ["backend_url", "broker_url", "urls_in"]

#: Schemes whose addresses are host and port and nothing else, so that the port can be checked.
_PLAIN_SCHEMES = frozenset({"redis", "rediss", "amqp", "amqps", "pyamqp"})
#: Where the next URL of a list in one string begins.
_NEXT_URL = re.compile(r";(?=\s*[A-Za-z][A-Za-z0-9+.-]*://)")


def broker_url(value: Any) -> str | list[str] | tuple[str, ...] | None:
    """One URL, or several in a list or with semicolons between them."""
    urls = value.split(";") if isinstance(value, str) else value
    if not isinstance(urls, list | tuple):
        raise Refused
    if value in ("", [], ()):
        return None
    for url in urls:
        _check(url)
    result: str | list[str] | tuple[str, ...] = value
    return result


def backend_url(value: Any) -> str | list[str] | tuple[str, ...] | type | None:
    """The same, or a word such as ``disabled``, or a class."""
    if isinstance(value, type):
        return value
    if value in ("", [], ()):
        return None
    if isinstance(value, str):
        for url in urls_in(value):
            if "://" in url:
                _check(url)
    elif isinstance(value, list | tuple):
        for url in value:
            _check(url)
    else:
        raise Refused
    result: str | list[str] | tuple[str, ...] = value
    return result


def urls_in(backend: Any) -> list[str]:
    """The URLs of a result backend. A semicolon inside one of them, before an option, does not
    separate."""
    urls = backend if isinstance(backend, list | tuple) else _NEXT_URL.split(str(backend))
    return [url.strip() for url in urls]


def _check(url: Any) -> None:
    if not isinstance(url, str):
        raise Refused
    if "://" not in url:
        raise Refused(
            "expected a URL such as redis://localhost:6379/0, with '://' after the scheme"
        )
    parts = urlsplit(url)
    if parts.scheme not in _PLAIN_SCHEMES:
        return
    try:
        parts.port  # noqa: B018 - reading it checks it
    except ValueError:
        # Without the cause: its text may quote a piece of the password.
        raise Refused(
            "its port is not a number from 0 to 65535 "
            "(special characters in a password must be percent-encoded)"
        ) from None
