"""The words after ``umbel inspect METHOD`` or ``umbel control METHOD``, as arguments of that command.

What a command takes is known from its declaration, of Umbel's own as of the project's. Nothing is
sent here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import click

from umbel.spelling import nearest
from umbel.worker.commands.registry import Command
from umbel.worker.commands.topics import COMMANDS

__all__ = ["arguments_of", "find_command", "listed", "stamps", "summary", "usage"]

_YES: Final = frozenset({"1", "true", "yes", "on", "y", "t"})
_NO: Final = frozenset({"0", "false", "no", "off", "n", "f"})
#: How people call what a word has to be.
_KINDS: Final = {int: "a whole number", float: "a number", bool: "yes or no"}


def listed(kind: str) -> dict[str, Command]:
    """The commands of this kind that are shown to people, by name."""
    found = {one.name: one for one in COMMANDS.values() if one.type == kind and one.visible}
    return dict(sorted(found.items()))


def find_command(kind: str, name: str, import_all: Callable[[], object]) -> Command:
    """The command of this name or alias. One that is not known is looked for in all the modules of
    the project."""
    command = COMMANDS.get(name)
    if command is None:
        import_all()
        command = COMMANDS.get(name)
    if command is None:
        names = [known for known, one in COMMANDS.items() if one.type == kind]
        offer = nearest(name, names) or "."
        raise click.UsageError(
            f"There is no {kind} command {name!r}{offer} See: umbel {kind} --list"
        )
    if command.type != kind:
        raise click.UsageError(f"{name} is a command of umbel {command.type}, not of umbel {kind}")
    return command


def summary(command: Command) -> str:
    """What it does, in one sentence."""
    paragraph = " ".join((inspect.getdoc(command.run) or "").partition("\n\n")[0].split())
    if not command.help or not paragraph.startswith(command.help.strip()):
        return command.help
    return paragraph.partition(". ")[0].removesuffix(".").replace("``", "`") + "."


def usage(command: Command) -> str:
    """The name and what it takes."""
    return f"{command.name} {command.signature}" if command.signature else command.name


def arguments_of(command: Command, words: Sequence[str]) -> dict[str, Any]:
    """The words as named arguments; a ``UsageError`` with the signature when they do not fit."""
    given = dict(_named(command, words))
    rest = list(words[len(given) :])
    if command.variadic:
        if rest or command.variadic in _required(command):
            given[command.variadic] = rest
    elif rest:
        takes = f"takes at most {len(command.args)}" if command.args else "takes no"
        raise _wrong(command, f"it {takes} argument{'' if len(command.args) == 1 else 's'}")
    missing = [name for name in _required(command) if not given.get(name) and given.get(name) != 0]
    if missing:
        raise _wrong(command, f"{missing[0]} is missing")
    return given


def stamps(words: Sequence[str]) -> Mapping[str, list[str]]:
    """``key=value`` words as headers."""
    found: dict[str, list[str]] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (key and equals):
            raise click.UsageError(f"A stamp is given as KEY=VALUE, not as {word!r}")
        found.setdefault(key, []).append(value)
    return found


def _named(command: Command, words: Sequence[str]) -> Iterator[tuple[str, Any]]:
    for (name, kind), word in zip(command.args, words, strict=False):
        yield name, _converted(command, name, kind, word)


def _converted(command: Command, name: str, kind: Callable[[str], Any] | None, word: str) -> Any:
    if kind is None:
        return word
    if kind is bool:
        if word.casefold() in _YES | _NO:
            return word.casefold() in _YES
    else:
        try:
            return kind(word)
        except click.UsageError:
            raise
        except Exception:  # noqa: BLE001, S110 - the project's own conversion; any refusal is one
            pass
    wanted = _KINDS.get(kind, "something else")  # type: ignore[call-overload]
    raise _wrong(command, f"{name} has to be {wanted}, not {word!r}")


def _required(command: Command) -> list[str]:
    """Arguments without a default; the first one is the node's state."""
    parameters = list(inspect.signature(command.run).parameters.values())[1:]
    plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [
        one.name
        for one in parameters
        if one.default is inspect.Parameter.empty and one.kind in plain
    ]


def _wrong(command: Command, what: str) -> click.UsageError:
    return click.UsageError(f"{command.name}: {what}. Usage: umbel {command.type} {usage(command)}")
