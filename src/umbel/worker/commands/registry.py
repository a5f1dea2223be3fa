"""The commands that a node obeys from afar, by name: Umbel's own and those of a project.

A command is a function that takes the node (``NodeState``) and the arguments of the request, and
returns its reply, which JSON has to be able to say. It runs in the supervisor, never in a process
that runs tasks. What it raises becomes ``{"error": …}``; it cannot end the worker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias, TypeVar, overload

import msgspec

__all__ = ["COMMANDS", "Command", "control_command", "find", "inspect_command"]

Run: TypeAlias = Callable[..., Any]
F = TypeVar("F", bound=Run)


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One command, under Celery's names for what belongs to it."""

    name: str
    run: Run
    #: ``inspect`` asks and changes nothing; ``control`` does something.
    type: str
    alias: str | None = None
    #: Listed by the command line.
    visible: bool = True
    #: Seconds that who asks waits for replies, unless told otherwise.
    default_timeout: float = 1.0
    help: str = ""
    #: For people: ``[N=1]``.
    signature: str | None = None
    #: Names and types of what the command line takes, ``[("n", int)]``.
    args: Sequence[tuple[str, Callable[[str], Any]]] = ()
    #: The name of the argument that takes all the rest as a list.
    variadic: str | None = None


#: By name, and by alias.
COMMANDS: Final[dict[str, Command]] = {}


def find(name: str) -> Command | None:
    """The command of this name or alias."""
    return COMMANDS.get(name)


@overload
def inspect_command(function: F, /) -> F: ...
@overload
def inspect_command(**options: Any) -> Callable[[F], F]: ...
def inspect_command(function: Any = None, /, **options: Any) -> Any:
    """Make a function a command that tells something. Options as in ``Command``: ``name``,
    ``alias``, ``visible``, ``default_timeout``, ``help``, ``signature``, ``args``, ``variadic``."""
    return _registered(function, {"type": "inspect", **options})


@overload
def control_command(function: F, /) -> F: ...
@overload
def control_command(**options: Any) -> Callable[[F], F]: ...
def control_command(function: Any = None, /, **options: Any) -> Any:
    """Make a function a command that does something. Options as for ``inspect_command``."""
    return _registered(function, {"type": "control", **options})


def _registered(function: Run | None, options: dict[str, Any]) -> Any:
    def register(run: Run) -> Run:
        help_line = (run.__doc__ or "").strip().partition("\n")[0]
        given = {"name": run.__name__, "help": help_line, **options}
        given["args"] = tuple(given.get("args") or ())
        unknown = given.keys() - set(Command.__struct_fields__)
        if unknown:
            raise TypeError(f"a command has no option {min(unknown)!r}")
        command = Command(
            run=run, **{name: value for name, value in given.items() if name != "run"}
        )
        for name in filter(None, (command.name, command.alias)):
            COMMANDS[name] = command
        return run

    return register if function is None else register(function)
