"""``umbel delayed``: messages that wait for their moment."""

from __future__ import annotations

import json
from datetime import datetime

import click

from umbel.brokers.admin import QueueAdmin
from umbel.cli.main import Invocation
from umbel.cli.numbers import Whole
from umbel.result.revoking import revoked_record

__all__ = ["delayed"]


@click.group()
def delayed() -> None:
    """List or cancel messages with a countdown or an ETA."""


@delayed.command("list")
@click.option("-n", "--limit", default=50, type=Whole(min=1), help="At most so many.")
@click.option("-Q", "--queue", help="Of this queue only.")
@click.option("-j", "--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_delayed(obj: Invocation, limit: int, queue: str | None, as_json: bool) -> None:
    """The next ones to come due: moment, id, task, queue."""
    admin: QueueAdmin = obj.app.broker.admin
    messages = admin.delayed(queue, limit)
    rows = [(_moment(m.due), m.id, m.task, m.queue) for m in messages]
    if as_json:
        names = ("due", "id", "task", "queue")
        click.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows]))
        return
    for row in rows:
        click.echo("  ".join(row))
    if not rows:
        click.echo("No delayed messages.")


@delayed.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.pass_obj
def cancel(obj: Invocation, ids: tuple[str, ...]) -> int:
    """Take delayed messages back. Their results become REVOKED."""
    app, cancelled = obj.app, 0
    for task_id in ids:
        if app.broker.admin.cancel(task_id):
            cancelled += 1
            if app.backend is not None:
                app.backend.store(revoked_record(task_id, app.conf.result_expires or None))
    click.echo(f"{cancelled} of {len(ids)} cancelled.")
    return 0 if cancelled == len(ids) else 1


def _moment(due: float | None) -> str:
    return datetime.fromtimestamp(due or 0.0).astimezone().isoformat(timespec="seconds")
