"""``umbel call NAME``: send one task by name and print its id."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click

from umbel.cli.main import Invocation
from umbel.cli.numbers import Decimal, Whole
from umbel.exceptions import NotRegistered, UmbelError

__all__ = ["call"]


@click.command()
@click.argument("name")
@click.option(
    "-a", "--args", "arguments", default="[]", metavar="JSON", help="Positional arguments."
)
@click.option("-k", "--kwargs", "keywords", default="{}", metavar="JSON", help="Keyword arguments.")
@click.option("--eta", metavar="ISO8601", help="Not before this moment.")
@click.option("--countdown", type=Decimal(), metavar="SECONDS", help="Not before so many seconds.")
@click.option("--expires", metavar="SECONDS|ISO8601", help="Not after this.")
@click.option("--serializer", metavar="NAME", help="How to encode the arguments.")
@click.option("--queue", metavar="NAME", help="Send it to this queue.")
@click.option("--priority", type=Whole(0, 9), help="0 to 9, higher first.")
@click.option(
    "--wait", type=Decimal(), metavar="SECONDS", help="Wait so long and print the result."
)
@click.pass_obj
def call(obj: Invocation, /, name: str, arguments: str, keywords: str, **options: Any) -> None:
    """Send the task NAME and print its id."""
    args = _parse(arguments, list, "--args")
    kwargs = _parse(keywords, dict, "--kwargs")
    wait = options.pop("wait")
    for option in ("eta", "expires"):
        if options[option] is not None:
            options[option] = _moment(options[option], f"--{option}")
    _warn_of_unknown(obj.app, name)
    chosen = {key: value for key, value in options.items() if value is not None}
    try:
        result = obj.app.send_task(name, args=args, kwargs=kwargs, **chosen)
    except UmbelError:
        raise
    except (TypeError, ValueError) as error:
        raise click.UsageError(str(error)) from None
    click.echo(result.id)
    if wait is not None:
        value = result.get(timeout=wait, propagate=False)
        click.echo(repr(value) if result.successful() else f"{result.state}: {value!r}")
        if not result.successful():
            raise click.exceptions.Exit(1)


def _warn_of_unknown(app: Any, name: str) -> None:
    """A task may be known to workers alone, so that this is no reason not to send it."""
    try:
        _ = app.tasks[name]
    except NotRegistered as error:
        click.echo(f"Warning: {error} (sent all the same)", err=True)
    except Exception as error:  # noqa: BLE001 - modules of a project may raise anything
        problem = f"{type(error).__name__}: {error}"
        click.echo(f"Warning: not all tasks could be imported ({problem})", err=True)


def _parse(text: str, kind: type[Any], option: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"not JSON: {error}", param_hint=option) from None
    if not isinstance(value, kind):
        wanted = "a list, such as '[2, 3]'" if kind is list else "an object, such as '{\"x\": 2}'"
        raise click.BadParameter(f"expected {wanted}", param_hint=option)
    return value


def _moment(text: str, option: str) -> Any:
    if option == "--expires" and text.replace(".", "", 1).isdigit():
        return float(text)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no moment such as 2026-01-31T04:00:00+01:00", param_hint=option
        ) from None
