"""Older forms of the task message, turned into protocol 2.

Protocol 1 has the whole call in its body and no headers; a hybrid has headers of protocol 2 and a
body of protocol 1. Only reading is done here; nothing old is ever written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from umbel.exceptions import InvalidTaskError
from umbel.message.headers import make_headers
from umbel.message.representation import represent

__all__ = ["split", "upgrade"]

#: Keys of the body that are not headers in protocol 2, or are under another name.
_CONSUMED = frozenset(
    {"args", "kwargs", "callbacks", "errbacks", "chord", "utc", "taskset", "timelimit", "headers"}
)


def split(content: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    """Args, kwargs and embed of a body that is a mapping."""
    args, kwargs = content.get("args"), content.get("kwargs")
    if args is not None and not isinstance(args, list | tuple):
        raise InvalidTaskError("the task arguments are not a list")
    if kwargs is not None and not isinstance(kwargs, dict):
        raise InvalidTaskError("the task keyword arguments are not a mapping")
    embed = {
        "callbacks": content.get("callbacks"),
        "errbacks": content.get("errbacks"),
        "chain": None,
        "chord": content.get("chord"),
    }
    return list(args or ()), kwargs or {}, embed


def upgrade(
    content: Mapping[str, Any], headers: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Any], dict[str, Any], dict[str, Any]]:
    """Headers of protocol 2, args, kwargs and embed. Headers that came with the message win over
    what the body says; keys that protocol 1 does not know are kept as headers."""
    args, kwargs, embed = split(content)
    limits = content.get("timelimit")
    hard, soft = limits if isinstance(limits, list | tuple) and len(limits) == 2 else (None, None)  # noqa: PLR2004
    made = make_headers(
        content.get("task", ""),
        content.get("id", ""),
        represent(tuple(args)),
        represent(kwargs),
        None,
        group=content.get("taskset"),
        time_limit=hard,
        soft_time_limit=soft,
    )
    made.update(
        (key, value)
        for key, value in content.items()
        if isinstance(key, str) and key not in _CONSUMED
    )
    made.update(headers)
    return made, args, kwargs, embed
