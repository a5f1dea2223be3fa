"""What may be shown of a setting's value: everything but passwords.

Masks the password in every URL and every value whose name speaks of a secret, also inside dicts and lists.
Used wherever a value is shown to people: error messages, ``conf.table()``, ``conf.humanize()``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["MASK", "censored"]

MASK = "********"

_SECRET = re.compile(
    r"(^|_|-)(api|credentials?|key|pass|passwd|password|passphrase|secrets?|signature|token)(_|-|$)"
)
#: Names with a telling word that tell nothing.
_HARMLESS = re.compile(r"routing_key$|^unacked_.*key$")
#: ``scheme://user:password@``, up to the last ``@``: a password may hold anything when nobody encoded it.
_URL_PASSWORD = re.compile(r"(?P<before>[a-zA-Z][\w+.-]*://[^\s:/@]*:)\S*(?=@)")
#: Where the next URL of a list in one string begins.
_NEXT_URL = re.compile(r";(?=[a-zA-Z][\w+.-]*://)")
_URL_PARAMETER = re.compile(r"(?i)(?P<before>[?&][\w-]*(?:password|secret|token)[\w-]*=)[^&\s]*")


def censored(name: str, value: Any) -> Any:
    """``value`` as it may be shown under ``name``. What is empty or only a flag hides nothing."""
    if value is None or isinstance(value, bool) or value in ("", b""):
        return value
    folded = name.casefold()
    if _SECRET.search(folded) and not _HARMLESS.search(folded):
        return MASK
    if isinstance(value, str):
        return _censored_text(value)
    if isinstance(value, Mapping):
        return {key: censored(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [censored("", item) for item in value]
        return tuple(items) if isinstance(value, tuple) else items
    return value


def _censored_text(text: str) -> str:
    if "://" not in text:
        return text
    urls = (_URL_PASSWORD.sub(rf"\g<before>{MASK}", url) for url in _NEXT_URL.split(text))
    return _URL_PARAMETER.sub(rf"\g<before>{MASK}", ";".join(urls))
