"""``umbel inspect`` and ``umbel control``: questions and commands to the workers that run.

The words of a command are understood in ``command_words.py``; sending them and waiting is the work of
``app.control``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from umbel.cli.command_words import arguments_of, find_command, listed, stamps, summary, usage
from umbel.cli.main import Invocation
from umbel.cli.numbers import Decimal
from umbel.cli.replies import NOBODY, destinations, failed, flatten, online, report_missing, show
from umbel.result.revoking import signal_number

__all__ = ["control", "inspect"]

#: Seconds to wait for replies, unless the command or the user says more.
_TIMEOUT: Final = 1.0

F = TypeVar("F", bound=Callable[..., Any])


def _options(function: F) -> F:
    for option in (
        click.argument("words", nargs=-1, metavar="[ARGUMENTS]..."),
        click.argument("method", required=False, metavar="METHOD"),
        click.option("-d", "--destination", "names", metavar="A,B", help="These nodes only."),
        click.option(
            "-t",
            "--timeout",
            type=Decimal(min=0),
            metavar="SECONDS",
            help="Wait so long for a node that does not answer.",
        ),
        click.option("-j", "--json", "as_json", is_flag=True, help="Print {node: reply} as JSON."),
        click.option("-l", "--list", "listing", is_flag=True, help="List what there is."),
    ):
        function = option(function)
    return function


@click.command()
@_options
@click.pass_obj
def inspect(obj: Invocation, /, **given: Any) -> int:
    """Ask the workers something. It changes nothing: `umbel inspect active`."""
    return _run(obj, "inspect", **given)


@click.command()
@_options
@click.pass_obj
def control(obj: Invocation, /, **given: Any) -> int:
    """Tell the workers something: `umbel control rate_limit mail.send 10/m`."""
    return _run(obj, "control", **given)


def _run(
    obj: Invocation,
    kind: str,
    *,
    method: str | None,
    words: tuple[str, ...],
    names: str | None,
    timeout: float | None,
    as_json: bool,
    listing: bool,
) -> int:
    app = obj.app
    if listing:
        app.import_modules()
        return _list(kind)
    if method is None:
        raise click.UsageError(f"Which one? See: umbel {kind} --list")
    command = find_command(kind, method, app.import_modules)
    arguments = arguments_of(command, words)
    chosen = destinations(names)
    seconds = max(_TIMEOUT, command.default_timeout) if timeout is None else timeout
    options = {"destination": chosen or None, "timeout": seconds, "reply": True}
    replies = flatten(_ask(app, command.name, arguments, options))
    show(obj, replies, as_json=as_json)
    silent = report_missing(app, chosen, replies, seconds)
    if silent or not replies:
        return NOBODY
    if kind == "inspect" and not as_json and not obj.quiet:
        click.echo(f"\n{online(len(replies))}")
    return 1 if any(failed(reply) for reply in replies.values()) else 0


def _ask(app: Any, name: str, arguments: dict[str, Any], options: dict[str, Any]) -> Any:
    """Revocations are written down first, which ``app.control`` does; the rest is only told."""
    if name in {"revoke", "terminate"}:
        try:
            signal_number(arguments.get("signal"))
        except ValueError as error:
            raise click.UsageError(f"{name}: {error}") from None
        return getattr(app.control, name)(**arguments, **options)
    if name == "revoke_by_stamped_headers":
        arguments["headers"] = stamps(arguments["headers"])
    return app.control.broadcast(name, arguments, **options)


def _list(kind: str) -> int:
    formatter = click.HelpFormatter()
    with formatter.section(f"{kind.capitalize()} commands"):
        formatter.write_dl([(usage(one), summary(one)) for one in listed(kind).values()])
    click.echo(formatter.getvalue(), nl=False)
    return 0
