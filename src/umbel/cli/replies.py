"""What nodes answered, for people and for programs: which node, whether it did, and what it said.

Shared by the commands that ask nodes. Asking is the work of ``app.control``.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any, Final

import click

from umbel.app.control import flatten_reply
from umbel.app.control.broadcasting import living_nodes, missing
from umbel.cli.main import Invocation

__all__ = ["NOBODY", "destinations", "failed", "flatten", "online", "report_missing", "show"]

#: Exit code when nobody answers, as Celery's (EX_UNAVAILABLE).
NOBODY: Final = 69


def destinations(names: str | None) -> list[str]:
    """The nodes that ``-d`` names; none without it."""
    if names is None:
        return []
    found = [name.strip() for name in names.split(",") if name.strip()]
    if not found:  # an empty variable of a script is not meant for everybody
        raise click.UsageError("-d names no node")
    return found


def flatten(replies: list[dict[str, Any]]) -> dict[str, Any]:
    """One dict, ordered by node; two nodes of one name are told of in one line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        by_node = flatten_reply(replies)
    for warning in caught:
        click.echo(f"Warning: {warning.message}", err=True)
    return dict(sorted(by_node.items()))


def report_missing(
    app: Any, chosen: list[str], replies: Mapping[str, Any], seconds: float
) -> list[str]:
    """Say which of the named nodes did not answer, or that nobody did; the former."""
    silent = [name for name in chosen if name not in replies]
    if silent:
        nodes = living_nodes(app)
        for name in silent:
            late = f"{name} did not answer within {seconds:g} s"
            click.echo(f"Error: {late if name in nodes else missing(name, nodes)}", err=True)
    elif not replies:
        click.echo(f"Error: No node answered within {seconds:g} s.", err=True)
    return silent


def online(nodes: int) -> str:
    """``2 nodes online.``"""
    return f"{nodes} node{'' if nodes == 1 else 's'} online."


def show(
    obj: Invocation, replies: Mapping[str, Any], *, as_json: bool, bodies: bool = True
) -> None:
    """Print what each node said."""
    if as_json:
        click.echo(json.dumps(replies))
        return
    for node, reply in replies.items():
        head = click.style(f"{node}: ", fg="cyan", bold=True)
        state = click.style("ERROR", fg="red") if failed(reply) else click.style("OK", fg="green")
        arrow = "" if obj.quiet else "->  "
        click.echo(f"{arrow}{head}{state}", color=obj.color)
        text = _text(reply) if bodies else ""
        for line in text.splitlines():
            click.echo(f"    {line}")


def failed(reply: object) -> bool:
    return isinstance(reply, dict) and "error" in reply and "ok" not in reply


def _text(reply: object) -> str:
    """For people: a list has an item a line."""
    if isinstance(reply, dict):
        for key in ("ok", "error"):
            if key in reply:
                return _text(reply[key])
        return json.dumps(reply, indent=4, sort_keys=True, ensure_ascii=False)
    if isinstance(reply, list):
        return "\n".join(f"* {_line(item)}" for item in reply) or "- empty -"
    return _line(reply)


def _line(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
