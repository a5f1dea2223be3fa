"""The headers of a task message: what is in them, in wire order, and how moments are written.

Every header of protocol 2 is always there, as with Celery; the user's own follow. Making an id for
a task, and the text of a moment, belong here because headers are where they travel.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from os import urandom
from typing import Any

__all__ = [
    "STANDARD",
    "STANDARD_NAMES",
    "isoformat",
    "make_headers",
    "make_id",
    "make_ids",
    "parse_moment",
]

_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def make_id() -> str:
    """A random UUID (version 4) as text. From the system's randomness: safe after a fork, and not
    touched by ``random.seed``."""
    digits = urandom(16).hex()
    return (
        f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-"
        f"{_VARIANT[digits[16]]}{digits[17:20]}-{digits[20:]}"
    )


def make_ids(count: int) -> list[str]:
    """So many of ``make_id``, with one call to the system."""
    digits, variant = urandom(16 * count).hex(), _VARIANT
    return [
        f"{digits[at : at + 8]}-{digits[at + 8 : at + 12]}-4{digits[at + 13 : at + 16]}-"
        f"{variant[digits[at + 16]]}{digits[at + 17 : at + 20]}-{digits[at + 20 : at + 32]}"
        for at in range(0, 32 * count, 32)
    ]


def isoformat(moment: float) -> str:
    """ISO-8601 in UTC with ``+00:00``, to the microsecond. ``ValueError`` beyond the year 9999."""
    try:
        return datetime.fromtimestamp(moment, UTC).isoformat()
    except (OverflowError, OSError) as error:
        raise ValueError(f"{moment!r} is not a moment that can be written as a date") from error


def parse_moment(text: Any) -> float:
    """Seconds since the epoch of an ISO-8601 text (``Z`` is accepted, a naive one means UTC) or of
    a datetime. ``ValueError`` for anything else."""
    moment = text
    if isinstance(text, str):
        moment = datetime.fromisoformat(text)
    if not isinstance(moment, datetime):
        raise ValueError(f"a date in ISO-8601 is expected, not {type(text).__name__}")  # noqa: TRY004 - one kind of error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()


def make_headers(
    task: str,
    id: str,  # noqa: A002 - the header's name
    argsrepr: str | None,
    kwargsrepr: str | None,
    origin: str | None,
    *,
    shadow: str | None = None,
    eta: str | None = None,
    expires: str | None = None,
    group: str | None = None,
    group_index: int | None = None,
    retries: int = 0,
    time_limit: float | None = None,
    soft_time_limit: float | None = None,
    root_id: str | None = None,
    parent_id: str | None = None,
    ignore_result: bool | None = False,
    replaced_task_nesting: int = 0,
    stamped_headers: list[str] | None = None,
    stamps: Mapping[str, Any] | None = None,
    headers: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """All headers of protocol 2 in wire order, then the user's ``headers``, none of which has one
    of these names (see ``STANDARD_NAMES``)."""
    made = {
        "lang": "py",
        "task": task,
        "id": id,
        "shadow": shadow,
        "eta": eta,
        "expires": expires,
        "group": group,
        "group_index": group_index,
        "retries": retries,
        "timelimit": [time_limit, soft_time_limit],
        "root_id": root_id or id,
        "parent_id": parent_id,
        "argsrepr": argsrepr,
        "kwargsrepr": kwargsrepr,
        "origin": origin,
        "ignore_result": ignore_result,
        "replaced_task_nesting": replaced_task_nesting,
        "stamped_headers": stamped_headers,
        "stamps": {} if stamps is None else stamps,
    }
    if headers:
        made.update(headers)
    return made


#: The headers that are there without the user's own, and how many.
STANDARD_NAMES = frozenset(make_headers("", "", "", "", ""))
STANDARD = len(STANDARD_NAMES)
