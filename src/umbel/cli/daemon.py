"""Leaving the terminal, and the rights of who started us: what ``umbel worker -D`` and its like do.

Works on this process only. Order: rights, then detach, then whatever opens files or connections.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import sys
from collections.abc import Callable

import click

__all__ = ["Umask", "detach", "drop_rights", "group_id", "user_id"]

_ALL_RIGHTS = 0o777


class Umask(click.ParamType[int]):
    """An octal number, as for the command umask."""

    name = "octal"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        try:
            mask = value if isinstance(value, int) else int(value, 8)
        except ValueError:
            mask = -1
        if not 0 <= mask <= _ALL_RIGHTS:
            self.fail(f"{value!r} is no octal number from 0 to 777.", param, ctx)
        return mask


def user_id(name: str) -> int:
    """The id of a user, given by name or number."""
    if name.isdigit():
        return int(name)
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise click.BadParameter(f"there is no user {name!r}", param_hint="--uid") from None


def group_id(name: str) -> int:
    """The id of a group, given by name or number."""
    if name.isdigit():
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise click.BadParameter(f"there is no group {name!r}", param_hint="--gid") from None


def drop_rights(uid: str | None, gid: str | None) -> None:
    """Become this user and this group, for good; a user alone brings the groups it is in."""
    user = user_id(uid) if uid else None
    group = group_id(gid) if gid else None
    if os.geteuid() != 0:
        for option, wanted, own in (("--uid", user, os.getuid()), ("--gid", group, os.getgid())):
            if wanted not in (None, own):
                raise click.UsageError(f"{option} {wanted} needs root; this is user {os.getuid()}")
        return
    if user is not None:
        _become(user, group)
    elif group is not None:
        os.setgroups([group])
        os.setgid(group)


def _become(user: int, group: int | None) -> None:
    try:
        entry = pwd.getpwuid(user)
    except KeyError:
        if group is None:
            raise click.UsageError(f"user {user} has no entry: give --gid too") from None
        os.setgroups([group])
    else:
        group = entry.pw_gid if group is None else group
        os.initgroups(entry.pw_name, group)
    os.setgid(group)
    os.setuid(user)


def detach() -> Callable[[str | None], None]:
    """Go on in a process that belongs to no terminal. The one that was started waits until what
    this returns was called, with the file for standard output and error, or until we ended."""
    _flush()
    read_end, write_end = os.pipe()
    if os.fork():
        os.close(write_end)
        os._exit(0 if os.read(read_end, 1) else 1)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.close(read_end)

    def settle(file: str | None) -> None:
        _flush()
        null = os.open(os.devnull, os.O_RDWR)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        output = os.open(file, flags, 0o666) if file else null
        for number, target in ((0, null), (1, output), (2, output)):
            os.dup2(target, number)
        for opened in {null, output}:
            os.close(opened)
        os.write(write_end, b".")
        os.close(write_end)

    return settle


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or none at all
            stream.flush()
