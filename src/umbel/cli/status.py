"""``umbel status``: which workers there are.

The broker knows whom it has heard of lately, and that is asked, without disturbing a worker. With
``--ping`` each node has to answer itself.
"""

from __future__ import annotations

import json
from typing import Any

import click

from umbel.app.control.broadcasting import missing
from umbel.brokers.admin import ConsumerStatus
from umbel.cli.main import Invocation
from umbel.cli.numbers import Decimal
from umbel.cli.replies import NOBODY, destinations, flatten, online, report_missing, show

__all__ = ["status"]


@click.command()
@click.option(
    "-d",
    "--destination",
    "names",
    metavar="A,B",
    help="These nodes only; the exit code is 69 unless all of them are there.",
)
@click.option("-j", "--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--ping", is_flag=True, help="Ask each node, instead of when it was last heard of.")
@click.option(
    "-t",
    "--timeout",
    type=Decimal(min=0),
    metavar="SECONDS",
    help="Ask each node, and wait so long (1).",
)
@click.pass_obj
def status(
    obj: Invocation, names: str | None, as_json: bool, ping: bool, timeout: float | None
) -> int:
    """List workers: node, process, queues, running messages, last heartbeat."""
    chosen = destinations(names)
    if ping or timeout is not None:
        return _ping(obj, chosen, 1.0 if timeout is None else timeout, as_json=as_json)
    return _look(obj, chosen, as_json=as_json)


def _look(obj: Invocation, chosen: list[str], *, as_json: bool) -> int:
    app = obj.app
    limit = app.conf.worker_heartbeat_limit
    heard = app.broker.admin.consumers()
    consumers = [one for one in heard if not chosen or _node(one) in chosen]
    living = {_node(one) for one in consumers if one.silent_for < limit}
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
        click.echo(online(len(living)))
    everybody = sorted({_node(one) for one in heard if one.silent_for < limit})
    for name in chosen:
        if name not in {_node(one) for one in consumers}:
            click.echo(f"Error: {missing(name, everybody)}", err=True)
    return 0 if living and living.issuperset(chosen) else NOBODY


def _ping(obj: Invocation, chosen: list[str], timeout: float, *, as_json: bool) -> int:
    replies = flatten(obj.app.control.ping(chosen or None, timeout=timeout))
    show(obj, replies, as_json=as_json, bodies=False)
    silent = report_missing(obj.app, chosen, replies, timeout)
    if not as_json and not obj.quiet:
        click.echo(online(len(replies)))
    return NOBODY if silent or not replies else 0


def _node(consumer: ConsumerStatus) -> str:
    return consumer.id.partition("/")[0]


def _row(consumer: ConsumerStatus, limit: float) -> dict[str, Any]:
    return {
        "node": _node(consumer),
        "pid": consumer.id.split("/")[1] if "/" in consumer.id else "",
        "alive": consumer.silent_for < limit,
        "silent_for": round(consumer.silent_for, 3),
        "queues": list(consumer.queues),
        "lent": consumer.lent,
    }
