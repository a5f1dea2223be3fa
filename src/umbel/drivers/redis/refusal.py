"""What went wrong, as one line: errors that the server answers, and sockets that break.

The first word of a Redis error is its code. Which codes are worth asking again, which stay until a
person changes something, and which mean that the name of the server may lead to another one by now,
is decided here; passwords are taken out.
"""

from __future__ import annotations

import re
from typing import Final

from umbel.drivers.redis.address import Address
from umbel.exceptions import ConnectionLost, OperationalError

__all__ = ["Refused", "lost", "reason_of", "refusal"]

#: Answers after which another server, or the same one a little later, may say yes.
_TEMPORARY: Final = frozenset(
    {
        "BUSY",
        "CLUSTERDOWN",
        "LOADING",
        "MASTERDOWN",
        "MISCONF",
        "NOREPLICAS",
        "OOM",
        "READONLY",
        "TRYAGAIN",
    }
)
#: Of these, the ones that a new connection may not get: the name may lead to another server now.
_ELSEWHERE: Final = frozenset({"LOADING", "MASTERDOWN", "READONLY"})
#: An answer of this kind, although it has no code of its own.
_CROWDED: Final = "max number of clients"
#: One step touches keys of several slots.
_CLUSTER: Final = frozenset({"ASK", "CROSSSLOT", "MOVED"})
_UNWELCOME: Final = frozenset({"NOAUTH", "WRONGPASS"})
#: Answers that stay the same until a person changes the URL or the server's configuration.
_LASTING: Final = _CLUSTER | _UNWELCOME | {"DENIED", "NOPERM"}
#: The same, of those that have no code of their own.
_LASTING_TEXT: Final = re.compile(
    r"DB index|\bAUTH\b|invalid password|unknown command|SELECT is not allowed"
    r"|The user executing the script can't|ACL failure in script"
)
#: Before version 7 an error inside a script hides its code.
_IN_SCRIPT: Final = re.compile(r"^ERR Error running script.*?\b([A-Z]{3,}) [A-Za-z]", re.DOTALL)


class Refused(OperationalError):
    """The server answered with an error. ``code`` is its first word."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code
        #: Worth asking again.
        self.temporary = code in _TEMPORARY or _CROWDED in message
        #: Whoever asks again hears the same.
        self.lasting = not self.temporary and (
            code in _LASTING or _LASTING_TEXT.search(message) is not None
        )
        #: Worth asking on a new connection.
        self.elsewhere = code in _ELSEWHERE


def refusal(address: Address, text: str) -> Refused:
    """The exception for an error answer."""
    if address.password:
        text = text.replace(address.password, "**")  # the server quotes commands it does not know
    inside = _IN_SCRIPT.match(text)
    code = inside[1] if inside else text.split(" ", 1)[0]
    if code in _UNWELCOME or " AUTH " in text[:60]:
        return Refused(f"{address.url} does not accept this user and password: {text}", code)
    if code in _CLUSTER:
        return Refused(f"{address.url} is a Redis Cluster, which is not supported: {text}", code)
    return Refused(f"{address.url} refused: {text}", code)


def lost(address: Address, error: OSError) -> ConnectionLost:
    """The exception for a socket that broke, or did not answer in time."""
    if isinstance(error, (BlockingIOError, TimeoutError)):
        return ConnectionLost(f"No answer from {address.url} in time")
    return ConnectionLost(f"Lost the connection to {address.url}: {reason_of(error)}")


def reason_of(error: OSError) -> str:
    """In a few words."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return error.strerror or str(error) or type(error).__name__
