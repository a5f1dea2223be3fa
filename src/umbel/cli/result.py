"""``umbel result ID``: print what is remembered of a task."""

from __future__ import annotations

import click

from umbel import states
from umbel.cli.main import Invocation
from umbel.cli.numbers import Decimal

__all__ = ["result"]


@click.command()
@click.argument("task_id", metavar="ID")
@click.option("-t", "--task", hidden=True, help="Accepted for Celery's sake.")
@click.option("--traceback", is_flag=True, help="Show the traceback of a failed task instead.")
@click.option("--wait", type=Decimal(), metavar="SECONDS", help="Wait so long for the end.")
@click.pass_obj
def result(
    obj: Invocation, task_id: str, task: str | None, traceback: bool, wait: float | None
) -> int:
    """Print the result of the task with this ID, or where it is."""
    del task
    found = obj.app.AsyncResult(task_id)
    if wait is not None:
        found.get(timeout=wait, propagate=False)
    state = found.state
    if traceback:
        click.echo(found.traceback or "No traceback.")
    elif state == states.PENDING and not found.exists():
        return _say_where(found)
    elif state == states.SUCCESS:
        click.echo(repr(found.result))
    else:
        click.echo(f"{state}: {found.result!r}")
    return 0 if state not in states.PROPAGATE_STATES else 1


def _say_where(found: object) -> int:
    place = found.locate()  # type: ignore[attr-defined]
    if place is None:
        click.echo("Unknown: no task of this id is waiting, running or remembered here.", err=True)
        return 1
    detail = f" ({place.detail})" if place.detail else ""
    click.echo(f"{states.PENDING}: {place.where} on queue {place.queue}{detail}")
    return 0
