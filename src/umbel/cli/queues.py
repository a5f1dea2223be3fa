"""``umbel queues`` and ``umbel purge``: what waits where, stopping it, and throwing it away."""

from __future__ import annotations

import json
from typing import Any

import click

from umbel.cli.main import Invocation

__all__ = ["purge", "queues"]


@click.group(invoke_without_command=True)
@click.option("-Q", "--queues", "names", metavar="A,B", help="These queues; else all known ones.")
@click.option("-j", "--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def queues(context: click.Context, names: str | None, as_json: bool) -> None:
    """Show how many messages wait, are delayed or being worked on, per queue; or pause queues."""
    if context.invoked_subcommand is None:
        _show(context.obj.app, names, as_json=as_json)


def _show(app: Any, names: str | None, *, as_json: bool) -> None:
    wanted = _split(names) or list(app.queues)
    admin = app.broker.admin
    rows = admin.queues(wanted)
    parked, dead = admin.parked(), admin.dead_count()
    if as_json:
        click.echo(json.dumps({"queues": [_row(r) for r in rows], "parked": parked, "dead": dead}))
        return
    width = max([5, *(len(row.name) for row in rows)])
    click.echo(f"{'queue':<{width}}  {'ready':>8}  {'delayed':>8}  {'running':>8}")
    for row in rows:
        click.echo(
            f"{row.name:<{width}}  {row.ready:>8}  {row.delayed:>8}  {row.lent:>8}{_mark(row)}"
        )
    for name, count in sorted(parked.items()):
        click.echo(f"parked: {count} of task {name!r}, which no worker knows")
    if dead:
        click.echo(f"dead letters: {dead} (see: umbel dead list)")


@queues.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.pass_obj
def pause(obj: Invocation, names: tuple[str, ...]) -> None:
    """No worker gets messages of these queues any more. What runs already goes on."""
    for name in names:
        obj.app.broker.admin.pause(name)
    click.echo(f"Paused {', '.join(names)}.")


@queues.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.pass_obj
def resume(obj: Invocation, names: tuple[str, ...]) -> None:
    """Workers get messages of these queues again."""
    for name in names:
        obj.app.broker.admin.resume(name)
    click.echo(f"Resumed {', '.join(names)}.")


@click.command()
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option("-Q", "--queues", "names", metavar="A,B", help="These queues; else the app's.")
@click.option("-X", "--exclude-queues", "excluded", metavar="A,B", help="Not these.")
@click.pass_obj
def purge(obj: Invocation, force: bool, names: str | None, excluded: str | None) -> None:
    """Throw away every message that waits on the queues. Their results become REVOKED (purged)."""
    app = obj.app
    chosen = [q for q in _split(names) or list(app.queues) if q not in _split(excluded)]
    if not chosen:
        raise click.UsageError("no queue is left to purge")
    if not force:
        click.confirm(f"Throw away every waiting message of {', '.join(chosen)}?", abort=True)
    total = sum(app.purge(queue) for queue in chosen)
    click.echo(f"Purged {total} message{'' if total == 1 else 's'} from {', '.join(chosen)}.")


def _split(names: str | None) -> list[str]:
    return [name.strip() for name in (names or "").split(",") if name.strip()]


def _mark(row: Any) -> str:
    return "  paused" if row.paused else ""


def _row(row: Any) -> dict[str, Any]:
    names = ("name", "ready", "delayed", "lent", "paused")
    return {name: getattr(row, name) for name in names}
