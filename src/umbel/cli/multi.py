"""``umbel multi``: start, stop and show several workers of one machine, with Celery's syntax.

    umbel -A proj multi start 3 -l INFO -c 4             three nodes: celery1, celery2, celery3
    umbel -A proj multi start images mail -c:images 2 -Q:mail post,news
    umbel multi stopwait images mail

It starts ``umbel worker --detach`` for each, and finds them again by their pidfiles alone. Which node
gets which option is worked out in ``multi_nodes.py``.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from umbel.cli.main import Invocation
from umbel.cli.multi_nodes import Node, parse
from umbel.cli.pidfile import is_alive, read_pid
from umbel.cli.worker import worker

__all__ = ["multi"]

#: Seconds between looks at whether a worker has ended.
LOOK_EVERY = 0.1


@click.command(
    context_settings={
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
        "help_option_names": [],
    },
    add_help_option=False,
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def multi(obj: Invocation, words: tuple[str, ...]) -> int:
    """Start and stop several workers: start|stop|stopwait|restart|kill|show|names NODES OPTIONS.

    NODES is a number or names. An option with a colon is for some nodes: -c:1,3 10, -Q:1-3 images.
    """
    if not words or words[0] in ("help", "-h", "--help"):
        click.echo(USAGE)
        return 0
    command, *rest = words
    if command not in COMMANDS:
        raise click.UsageError(f"multi has no command {command!r}: {', '.join(COMMANDS)}")
    workdir = obj.values.pop("workdir", None)
    if workdir:
        os.chdir(workdir)
    plan = parse(rest, obj.values)
    if command in ("start", "restart"):
        check(obj, plan.nodes)
    return COMMANDS[command](plan.nodes, plan.signal)


def check(obj: Invocation, nodes: Sequence[Node]) -> None:
    """Refuse what no worker could be started with, before one is started or stopped."""
    for node in nodes:
        words = list(node.command[node.command.index("--detach") :])
        with worker.make_context("worker", words, parent=click.get_current_context().parent):
            pass
        if "--workdir" not in words:  # where it is imported from there, this process cannot tell
            _ = obj.app


def start(nodes: Sequence[Node], _signal: signal.Signals) -> int:
    failed = 0
    for node in nodes:
        pid = running(node)
        if pid is not None:
            click.echo(f"> {node.name}: is running already ({pid})")
            failed = 1
            continue
        code = subprocess.run([*program(), *node.command], check=False).returncode  # noqa: S603 - ourselves
        click.echo(f"> {node.name}: {'started' if code == 0 else f'failed ({code})'}")
        failed = failed or code
    return failed


def stop(nodes: Sequence[Node], number: signal.Signals) -> int:
    tell(nodes, number)
    return 0


def stopwait(nodes: Sequence[Node], number: signal.Signals) -> int:
    waiting = tell(nodes, number)
    while waiting:
        for node, pid in list(waiting.items()):
            if not is_alive(pid):
                click.echo(f"> {node.name}: gone")
                del waiting[node]
        time.sleep(LOOK_EVERY)
    return 0


def restart(nodes: Sequence[Node], number: signal.Signals) -> int:
    stopwait(nodes, number)
    return start(nodes, number)


def kill(nodes: Sequence[Node], _signal: signal.Signals) -> int:
    tell(nodes, signal.SIGKILL)
    return 0


def show(nodes: Sequence[Node], _signal: signal.Signals) -> int:
    for node in nodes:
        click.echo(shlex.join([*program(), *node.command]))
    return 0


def names(nodes: Sequence[Node], _signal: signal.Signals) -> int:
    for node in nodes:
        click.echo(node.name)
    return 0


COMMANDS: dict[str, Callable[[Sequence[Node], signal.Signals], int]] = {
    "start": start,
    "stop": stop,
    "stopwait": stopwait,
    "restart": restart,
    "kill": kill,
    "show": show,
    "names": names,
}

USAGE = """\
umbel -A APP multi start NODES [OPTIONS]    start workers in the background
umbel multi stop NODES [-SIGNAL]            tell them to stop (TERM), or send another signal
umbel multi stopwait NODES [-SIGNAL]        the same, and wait until they are gone
umbel -A APP multi restart NODES [OPTIONS]  stopwait, then start
umbel multi kill NODES                      end them without any ado
umbel multi show|names NODES [OPTIONS]      print commands, or node names

NODES: a number (celery1, celery2, ...) or names; a name may have a host: mail@example.
OPTIONS: those of umbel worker. For some nodes only: -c:1 3, -Q:1-3 images, -l:mail,3 DEBUG.
--pidfile (%n.pid) and --logfile (%n%I.log) are used for every node; --range-prefix (celery)
stands before numbers.
"""


def program() -> tuple[str, ...]:
    """What runs ``umbel``."""
    return (sys.executable, "-m", "umbel")


def running(node: Node) -> int | None:
    """The process of this node, if it lives."""
    pid = read_pid(Path(node.pidfile))
    return pid if pid is not None and is_alive(pid) else None


def tell(nodes: Sequence[Node], number: signal.Signals) -> dict[Node, int]:
    """Send each a signal; those that got it."""
    told = {}
    for node in nodes:
        pid = running(node)
        if pid is None:
            click.echo(f"> {node.name}: is not running ({node.pidfile})")
            continue
        try:
            os.kill(pid, number)
        except PermissionError:
            raise click.ClickException(
                f"{node.name}: the process {pid} belongs to another user ({node.pidfile})"
            ) from None
        except ProcessLookupError:
            click.echo(f"> {node.name}: is not running ({node.pidfile})")
            continue
        click.echo(f"> {node.name}: {number.name} -> {pid}")
        told[node] = pid
    return told
