"""What is said first on a new connection, whoever waits for the answers.

``greet`` yields commands and is sent their answers, so that a connection that blocks and one of an
event loop greet alike. It knows no sockets.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, TypeAlias

import hiredis

from umbel.drivers.redis.address import Address
from umbel.drivers.redis.packing import Argument
from umbel.drivers.redis.refusal import Refused, refusal

__all__ = ["Command", "greet"]

Command: TypeAlias = tuple[Argument, ...]


def greet(
    address: Address, setup: Sequence[Command] = ()
) -> Generator[list[Command], list[Any], tuple[int, Refused | None]]:
    """HELLO, AUTH, SELECT and the setup commands in one write; in RESP2 where RESP3 is refused.
    Returns the version of the protocol and the first refusal of a setup command."""
    user, password = _credentials(address)
    commands: list[Command] = []
    protocol = address.protocol
    if protocol == 3:  # noqa: PLR2004 - RESP3
        commands.append(("HELLO", 3, *(("AUTH", user or "default", password) if password else ())))
    elif password:
        commands.append(("AUTH", user, password) if user else ("AUTH", password))
    if address.client_name:
        commands.append(("CLIENT", "SETNAME", address.client_name))
    if address.db:
        commands.append(("SELECT", address.db))
    answers = yield [*commands, *setup]
    if protocol == 3 and _has_no_resp3(answers[0]):  # noqa: PLR2004 - RESP3
        protocol = 2
        commands[0] = ("AUTH", user, password or "") if user else ("AUTH", password or "")
        answers = yield [*commands[0 if password else 1 :], *setup]
    count = len(answers) - len(setup)
    refusals = [_refusal(address, answer) for answer in answers[:count]]
    for refused in refusals:
        if refused is not None:
            raise refused
    kept = (_refusal(address, answer) for answer in answers[count:])
    return protocol, next((refused for refused in kept if refused is not None), None)


def _credentials(address: Address) -> tuple[str | None, str | None]:
    provider = address.credential_provider
    if provider is None:
        return address.username, address.password
    given = tuple(provider.get_credentials())
    return (None, given[0]) if len(given) == 1 else (given[0], given[1])


def _refusal(address: Address, answer: Any) -> Refused | None:
    return refusal(address, str(answer)) if isinstance(answer, hiredis.ReplyError) else None


def _has_no_resp3(answer: Any) -> bool:
    text = str(answer) if isinstance(answer, hiredis.ReplyError) else ""
    return text.startswith("NOPROTO") or "unknown command" in text.lower()
