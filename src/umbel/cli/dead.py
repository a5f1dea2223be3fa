"""``umbel dead``: messages that will not run again by themselves."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from umbel.brokers.admin import DeadLetter, QueueAdmin
from umbel.cli.main import Invocation
from umbel.cli.numbers import Whole

__all__ = ["dead"]


MANY = Whole(min=1)


@click.group()
def dead() -> None:
    """List, show, retry or drop dead letters."""


@dead.command("list")
@click.option("-n", "--limit", default=50, show_default=True, type=MANY, help="At most so many.")
@click.option("-j", "--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_dead(obj: Invocation, limit: int, as_json: bool) -> None:
    """The newest dead letters: id, task, queue, age, reason."""
    admin: QueueAdmin = obj.app.broker.admin
    letters = admin.dead(limit)
    if as_json:
        click.echo(json.dumps([_plain(letter) for letter in letters]))
        return
    if not letters:
        click.echo("No dead letters.")
    for letter in letters:
        age = time.time() - letter.died_at
        click.echo(
            f"{letter.id}  {letter.task or '?'}  {letter.queue}  {age:.0f}s ago  {letter.reason}"
        )
    more = admin.dead_count() - len(letters)
    if more > 0:
        click.echo(f"… and {more} more (umbel dead list -n {len(letters) + more})")


@dead.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="Every dead letter.")
@click.option("-t", "--task", help="Every dead letter of this task.")
@click.pass_obj
def retry(obj: Invocation, ids: tuple[str, ...], everything: bool, task: str | None) -> int:
    """Put dead letters back on their queues; they run at once, with counters at 0."""
    admin: QueueAdmin = obj.app.broker.admin
    chosen = _choose(admin, ids, everything=everything, task=task)
    count = admin.revive(chosen)
    click.echo(f"{count} of {len(chosen)} put back.")
    return 0 if count == len(chosen) else 1


@dead.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="Every dead letter.")
@click.option("-t", "--task", help="Every dead letter of this task.")
@click.pass_obj
def drop(obj: Invocation, ids: tuple[str, ...], everything: bool, task: str | None) -> int:
    """Forget dead letters for good."""
    admin: QueueAdmin = obj.app.broker.admin
    chosen = _choose(admin, ids, everything=everything, task=task)
    count = admin.drop(chosen)
    click.echo(f"{count} of {len(chosen)} dropped.")
    return 0 if count == len(chosen) else 1


@dead.command()
@click.argument("id_", metavar="ID")
@click.pass_obj
def show(obj: Invocation, id_: str) -> int:
    """Print one dead letter whole."""
    for letter in _every(obj.app.broker.admin):
        if letter.id == id_:
            click.echo(json.dumps(_plain(letter), indent=2))
            click.echo(letter.raw.decode("utf-8", "backslashreplace"))
            return 0
    click.echo(f"No dead letter has the id {id_}.", err=True)
    return 1


def _choose(
    admin: QueueAdmin, ids: tuple[str, ...], *, everything: bool, task: str | None
) -> list[str]:
    if bool(ids) + everything + bool(task) != 1:
        raise click.UsageError("say which: ids, --task NAME or --all")
    if ids:
        return list(ids)
    return [letter.id for letter in _every(admin) if everything or letter.task == task]


def _every(admin: QueueAdmin) -> list[DeadLetter]:
    return admin.dead(limit=max(1, admin.dead_count()))


def _plain(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "task": letter.task,
        "queue": letter.queue,
        "reason": letter.reason,
        "died_at": letter.died_at,
    }
