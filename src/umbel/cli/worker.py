"""``umbel worker``: run tasks until told to stop."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from typing import Any

import click

from umbel import __version__
from umbel.app.deployment import worker_values
from umbel.cli.gevent_start import restart_patched
from umbel.cli.main import Invocation
from umbel.cli.numbers import Decimal, Whole
from umbel.events.emitter import Emitter
from umbel.worker.board import Board
from umbel.worker.log import LogLines, set_up_logging
from umbel.worker.options import WorkerOptions
from umbel.worker.pools import kinds
from umbel.worker.worker import Worker

__all__ = ["worker"]

POSITIVE = Decimal(min=0, min_open=True)
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "FATAL")


@click.command()
@click.option("-n", "--hostname", metavar="NAME", help="The node's name; %h is the host.")
@click.option("-c", "--concurrency", type=Whole(min=1), help="Processes; default: cores.")
@click.option(
    "-P", "--pool", metavar="POOL", help="prefork (default), threads, asyncio, gevent or solo."
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="M",
    help="So many times the processes that the pool has by itself.",
)
@click.option("-Q", "--queues", metavar="A,B", help="Take messages of these queues only.")
@click.option(
    "-l",
    "--loglevel",
    default="WARNING",
    show_default=True,
    type=click.Choice(LEVELS, case_sensitive=False),
    help="INFO shows a line for each task.",
)
@click.option("--health", metavar="ADDRESS", help="Answer probes here: host:port or a socket path.")
@click.option("--time-limit", type=POSITIVE, metavar="SECONDS", help="Hard limit for each task.")
@click.option(
    "--soft-time-limit", type=POSITIVE, metavar="SECONDS", help="Soft limit for each task."
)
@click.option("--max-tasks-per-child", type=Whole(min=1), help="Then replace the process.")
@click.option("--prefetch-multiplier", type=Whole(min=0), help="Messages kept per process.")
@click.option(
    "--drain-timeout",
    type=Decimal(min=0),
    metavar="SECONDS",
    help="To finish when told to stop.",
)
@click.pass_obj
def worker(obj: Invocation, /, **flags: Any) -> int:
    """Run tasks until told to stop (TERM or Ctrl-C: finish what runs; again: at once)."""
    app = obj.app
    app.import_modules()
    conf = app.conf
    level = getattr(logging, flags.pop("loglevel").upper())
    set_up_logging(
        level,
        line_format=conf.worker_log_format,
        task_format=conf.worker_task_log_format,
        hijack=conf.worker_hijack_root_logger,
    )
    options = _options(app, flags)
    if kinds.find(options.pool).patched:
        restart_patched(sys.argv)
    emitter = Emitter()
    LogLines(emitter).subscribe()
    node = Worker(options, emitter)
    if not obj.quiet:
        with contextlib.suppress(OSError, ValueError, AttributeError):  # stdout may be closed
            click.echo(banner(app, options, node))
            sys.stdout.flush()
    return node.run()


def _options(app: Any, flags: dict[str, Any]) -> WorkerOptions:
    named = flags.pop("queues")
    queues = [name.strip() for name in (named or "").split(",") if name.strip()]
    if named is not None and not queues:
        raise click.BadParameter("no queue is named", param_hint="-Q")
    values = worker_values(
        app,
        queues=queues,
        concurrency=flags.pop("concurrency"),
        pool=flags.pop("pool"),
        hostname=flags.pop("hostname"),
    )
    renamed = {
        "health": "health_address",
        "max_tasks_per_child": "max_jobs_per_child",
        "prefetch_multiplier": "prefetch",
    }
    for flag, value in flags.items():
        if value is not None:
            values[renamed.get(flag, flag)] = value
    values["prefetch"] = values["prefetch"] or None  # 0 means adaptive, as in the setting
    return WorkerOptions(**values)


def banner(app: Any, options: WorkerOptions, node: Worker) -> str:
    """What this worker is, for the person who started it. Passwords are hidden."""
    backend = app.backend
    lines = [
        f" umbel {__version__}  {options.node}",
        "",
        f"  app:      {app.main or '(none)'}",
        f"  broker:   {app.broker.display_url}",
        f"  results:  {backend.display_url if backend is not None else 'disabled'}",
        f"  pool:     {options.pool}, {_size(node.board)}",
        f"  queues:   {', '.join(options.queues)}",
    ]
    if node.health is not None:
        lines.append(f"  health:   {node.health.address}")
    lines += ["", "  tasks:", *(f"    {name}" for name in sorted(options.tasks)), ""]
    if hasattr(os, "getuid") and os.getuid() == 0 and "pickle" in app.conf.accept_content:
        lines.insert(0, "Running as root while accepting pickle: whoever can send can be root.")
    return "\n".join(lines)


def _size(board: Board) -> str:
    count, slots = len(board.places), board.slots_each
    processes = "1 process" if count == 1 else f"{count} processes"
    return processes if slots == 1 else f"{processes}, {slots} slots in each"
