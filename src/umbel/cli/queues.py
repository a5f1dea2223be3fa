"""``umbel queues`` and ``umbel purge``: what waits where, and throwing it away."""

from __future__ import annotations

import json
from typing import Any

import click

from umbel.cli.main import Invocation

__all__ = ["purge", "queues"]


@click.command()
@click.option("-Q", "--queues", "names", metavar="A,B", help="These queues; else all known ones.")
@click.option("-j", "--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def queues(obj: Invocation, names: str | None, as_json: bool) -> None:
    """Show how many messages wait, are delayed or being worked on, per queue."""
    app = obj.app
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
        click.echo(f"{row.name:<{width}}  {row.ready:>8}  {row.delayed:>8}  {row.lent:>8}")
    for name, count in sorted(parked.items()):
        click.echo(f"parked: {count} of task {name!r}, which no worker knows")
    if dead:
        click.echo(f"dead letters: {dead} (see: umbel dead list)")


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


def _row(row: Any) -> dict[str, Any]:
    return {"name": row.name, "ready": row.ready, "delayed": row.delayed, "lent": row.lent}
