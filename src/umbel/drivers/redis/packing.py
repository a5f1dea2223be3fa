"""Commands in the bytes of the server's protocol."""

from __future__ import annotations

from typing import TypeAlias

import hiredis

__all__ = ["Argument", "pack"]

Argument: TypeAlias = bytes | str | int | float

#: Of so many arguments as large as this, joining them here is several times faster than hiredis,
#: which grows its buffer with each of them; otherwise hiredis is up to twice as fast.
_MANY, _LARGE = 600, 256


def pack(command: tuple[Argument, ...]) -> bytes:
    """The command in the server's protocol (RESP: an array of bulk strings)."""
    last = command[-1]
    if len(command) < _MANY or type(last) is not bytes or len(last) < _LARGE:
        packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]
        return packed
    parts = [b"*%d" % len(command)]
    for argument in command:
        data = argument if type(argument) is bytes else str(argument).encode()
        parts += (b"\r\n$%d\r\n" % len(data), data)
    parts.append(b"\r\n")
    return b"".join(parts)
