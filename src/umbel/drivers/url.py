"""URLs of servers and files, as people write them: what may be shown of one.

Knows no scheme and opens nothing. A URL may be a list of several, joined by semicolons.
"""

from __future__ import annotations

import re

__all__ = ["HIDDEN", "hide_password", "scheme_of"]

#: Stands where a password was.
HIDDEN = "**"

#: A semicolon separates only where a new URL begins; it may also be part of a password.
_NEXT_URL = re.compile(r";(?=\s*[A-Za-z][A-Za-z0-9+.-]*://)")
_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*)://")
_SECRET_OPTION = re.compile(
    r"([?&;](?:[a-z_]*password|passwd|passphrase|[a-z_]*secret|[a-z_]*token)=)[^&;]*", re.IGNORECASE
)


def scheme_of(url: str) -> str | None:
    """What stands before ``://``, in lower case; None when nothing does."""
    found = _SCHEME.match(url)
    return None if found is None else found[1].lower()


def hide_password(url: str) -> str:
    """The URL as it may be logged and shown: ``redis://:**@host/0``. Rather hides too much than
    too little when the password holds characters that should have been percent-encoded."""
    return ";".join(_hide(part) for part in _NEXT_URL.split(url))


def _hide(url: str) -> str:
    found = _SCHEME.match(url)
    start = 0 if found is None else found.end()
    rest = url[start:]
    if not rest.startswith("/"):  # a path of a file has no user and no password
        credentials, at, place = rest.rpartition("@")
        user, colon, _ = credentials.partition(":")
        if colon:
            rest = f"{user}:{HIDDEN}@{place}"
        elif at and found is None:
            rest = f"{HIDDEN}@{place}"
    return url[:start] + _SECRET_OPTION.sub(rf"\1{HIDDEN}", rest)
