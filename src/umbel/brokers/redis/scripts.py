"""The Lua scripts that lie beside this file, each one atomic step on the server.

A file of functions (``delayed.lua``, ``dead.lua``) is put before the scripts that need it. What
each takes and returns stands at its head.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from umbel.drivers.redis import Script

__all__ = [
    "ADOPT",
    "BEAT",
    "CANCEL",
    "DELAY",
    "DROP",
    "EXPIRE_PARKED",
    "LENT",
    "MAILBOX_LOOK",
    "MAILBOX_SEND",
    "REGISTER",
    "REVIVE",
    "SIGN_OFF",
    "SILENT",
    "UNPARK",
    "WATCH",
    "exchange_with",
]

_FOLDER = Path(__file__).parent


def _source(name: str) -> str:
    return (_FOLDER / f"{name}.lua").read_text(encoding="utf-8")


def _script(*names: str) -> Script:
    return Script(names[-1], "\n".join(_source(name) for name in names))


@cache
def exchange_with(store: str) -> Script:
    """The exchange script, with the Lua function by which a result backend stores a record."""
    parts = (_source("delayed"), _source("dead"), store, _source("exchange"))
    return Script("exchange", "\n".join(parts))


ADOPT = _script("adopt")
BEAT = _script("beat")
CANCEL = _script("delayed", "cancel")
DELAY = _script("delayed", "delay")
DROP = _script("drop")
EXPIRE_PARKED = _script("dead", "expire_parked")
LENT = _script("lent")
MAILBOX_LOOK = _script("mailbox_look")
MAILBOX_SEND = _script("mailbox_send")
REGISTER = _script("register")
REVIVE = _script("revive")
SIGN_OFF = _script("sign_off")
SILENT = _script("silent")
UNPARK = _script("unpark")
WATCH = _script("watch")
