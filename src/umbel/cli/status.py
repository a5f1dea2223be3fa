"""``umbel status``: which worker processes the broker has heard of lately."""

from __future__ import annotations

import json

import click

from umbel.brokers.admin import ConsumerStatus
from umbel.cli.main import Invocation

__all__ = ["status"]

#: Exit code when nobody is there, as Celery's (EX_UNAVAILABLE).
NOBODY = 69


@click.command()
@click.option("-j", "--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def status(obj: Invocation, as_json: bool) -> int:
    """List worker processes: node, process, queues, running messages, last heartbeat."""
    app = obj.app
    limit = app.conf.worker_heartbeat_limit
    consumers = app.broker.admin.consumers()
    if as_json:
        click.echo(json.dumps([_row(consumer, limit) for consumer in consumers]))
    else:
        for consumer in consumers:
            row = _row(consumer, limit)
            click.echo(
                f"{row['node']}  pid {row['pid']}  {'OK' if row['alive'] else 'silent'} "
                f"({consumer.silent_for:.0f}s ago)  queues {','.join(consumer.queues)}  "
                f"holds {consumer.lent}"
            )
        nodes = {_row(c, limit)["node"] for c in consumers if c.silent_for < limit}
        click.echo(f"{len(nodes)} node{'' if len(nodes) == 1 else 's'} online.")
    return 0 if any(consumer.silent_for < limit for consumer in consumers) else NOBODY


def _row(consumer: ConsumerStatus, limit: float) -> dict[str, object]:
    node, _, rest = consumer.id.partition("/")
    return {
        "node": node,
        "pid": rest.partition("/")[0],
        "alive": consumer.silent_for < limit,
        "silent_for": round(consumer.silent_for, 3),
        "queues": list(consumer.queues),
        "lent": consumer.lent,
    }
