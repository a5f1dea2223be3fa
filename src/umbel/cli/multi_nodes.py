"""Which workers a ``umbel multi`` line means, and the options of each. Starts and stops nothing."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import click
import msgspec

from umbel.cli.worker import worker
from umbel.spelling import nearest
from umbel.worker.log_setup import expand

__all__ = ["Node", "Plan", "parse"]

PIDFILE, LOGFILE = "%n.pid", "%n%I.log"
#: More workers on one machine are a slip of the keyboard.
_MOST: Final = 1_000
#: Global options of the command line that a worker is started with again.
GLOBAL = {"app": "-A", "broker": "-b", "result_backend": "--result-backend"}


class Node(msgspec.Struct, frozen=True):
    """One worker: its name, and what is said after ``umbel`` to start it."""

    name: str
    pidfile: str
    command: tuple[str, ...]


class Plan(msgspec.Struct, frozen=True):
    """What a line says: the nodes, and the signal for those that are to stop."""

    nodes: tuple[Node, ...]
    signal: signal.Signals


class _Words(msgspec.Struct):
    """A line, taken apart."""

    names: list[str]
    #: (option, value or None for a flag, the nodes that it is for or "" for all)
    options: list[tuple[str, str | None, str]]
    signal: signal.Signals = signal.SIGTERM


def parse(words: Sequence[str], given: Mapping[str, Any]) -> Plan:
    """``given``: the global options of this command line."""
    line = _read(words)
    own = {"--range-prefix": "celery", "--pidfile": PIDFILE, "--logfile": LOGFILE}
    renamed = {"-f": "--logfile"}
    rest = []
    for option, value, target in line.options:
        name = renamed.get(option, option)
        if name in own and not target:
            own[name] = value or ""
        else:
            rest.append((option, value, target))
    names = _names(line.names, own["--range-prefix"])
    chosen = {name: [] for name in names}  # type: dict[str, list[str]]
    for option, value, target in rest:
        for name in _targets(target, names) if target else names:
            chosen[name] += [option] if value is None else [option, value]
    before = [part for key, flag in GLOBAL.items() if given.get(key) for part in (flag, given[key])]
    nodes = []
    for name in names:
        pidfile = expand(own["--pidfile"], name)
        files = ["--pidfile", pidfile, "--logfile", own["--logfile"]]
        command = (*before, "worker", "--detach", "-n", name, *files, *chosen[name])
        nodes.append(Node(name=name, pidfile=pidfile, command=command))
    return Plan(nodes=tuple(nodes), signal=line.signal)


def _flags() -> dict[str, bool]:
    """Every option of a worker, and whether it stands alone."""
    return {
        spelling: bool(getattr(option, "is_flag", False))
        for option in worker.params
        for spelling in option.opts
    } | {"--range-prefix": False, "-A": False, "--app": False, "-b": False, "--broker": False}


def _read(words: Sequence[str]) -> _Words:
    known = _flags()
    line = _Words(names=[], options=[])
    left = iter(words)
    for word in left:
        if not word.startswith("-"):
            line.names.append(word)
            continue
        number = getattr(signal, f"SIG{word.lstrip('-').upper().removeprefix('SIG')}", None)
        if isinstance(number, signal.Signals) and word not in known:
            line.signal = number
            continue
        option, equals, value = word.partition("=")
        option, _, target = option.partition(":")
        if option not in known and not option.startswith("--") and len(option) > len("-c"):
            option, value, equals = option[:2], option[2:], "="  # -c4
        if option not in known:
            raise click.UsageError(f"umbel worker has no option {option}{nearest(option, known)}")
        if known[option]:
            line.options.append((option, None, target))
        else:
            given = value if equals else next(left, None)
            if given is None:
                raise click.UsageError(f"{word} needs a value")
            line.options.append((option, given, target))
    return line


def _names(words: Sequence[str], prefix: str) -> list[str]:
    if not words:
        raise click.UsageError("say how many nodes, or their names")
    if len(words) == 1 and words[0].isdigit():
        count = int(words[0])
        if count < 1:
            raise click.UsageError("a number of nodes is at least 1")
        if count > _MOST:
            raise click.UsageError(f"{count} nodes are too many; at most {_MOST}")
        words = [f"{prefix}{number}" for number in range(1, count + 1)]
    host = socket.gethostname()
    full = [word if "@" in word else f"{word}@{host}" for word in words]
    twice = {name for name in full if full.count(name) > 1}
    if twice:
        raise click.UsageError(f"named twice: {', '.join(sorted(twice))}")
    return full


def _targets(text: str, names: Sequence[str]) -> Iterable[str]:
    """The nodes that ``1,3-5,mail`` means: numbers count from 1, names may leave out the host."""
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if first.isdigit() and (last.isdigit() if dash else True):
            numbers = range(int(first), int(last or first) + 1)
            if not numbers or not 1 <= numbers[0] <= numbers[-1] <= len(names):
                raise click.UsageError(f"there is no node {part}: there are {len(names)}")
            yield from (names[number - 1] for number in numbers)
            continue
        found = [name for name in names if part in (name, name.partition("@")[0])]
        if not found:
            raise click.UsageError(f"there is no node {part!r}{nearest(part, names)}")
        yield from found
