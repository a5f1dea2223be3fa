"""``umbel worker``: run tasks until told to stop."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import click

from umbel import __version__
from umbel.app.deployment import node_name, worker_values
from umbel.cli.gevent_start import restart_patched
from umbel.cli.launch import Launch, launch_options, writes_json
from umbel.cli.main import Invocation
from umbel.cli.numbers import Decimal, Range, Whole
from umbel.cli.program import Program
from umbel.events.emitter import Emitter
from umbel.worker.board import Board
from umbel.worker.log import LogLines
from umbel.worker.options import WorkerOptions
from umbel.worker.pools import kinds
from umbel.worker.worker import Worker

__all__ = ["worker"]

POSITIVE = Decimal(min=0, min_open=True)


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
@click.option(
    "--autoscale",
    type=Range(),
    metavar="MAX,MIN",
    help="Processes according to the work (prefork).",
)
@click.option(
    "--autoscale-keepalive",
    type=Decimal(min=0),
    envvar="AUTOSCALE_KEEPALIVE",
    metavar="SECONDS",
    help="How long a process that nobody needs stays; default: 30.",
)
@click.option("-Q", "--queues", metavar="A,B", help="Take messages of these queues only.")
@click.option("-X", "--exclude-queues", metavar="A,B", help="Take none of these queues.")
@click.option("--health", metavar="ADDRESS", help="Answer probes here: host:port or a socket path.")
@click.option(
    "--health-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="The same as --health 0.0.0.0:PORT, for probes from other machines.",
)
@click.option("--time-limit", type=POSITIVE, metavar="SECONDS", help="Hard limit for each task.")
@click.option(
    "--soft-time-limit", type=POSITIVE, metavar="SECONDS", help="Soft limit for each task."
)
@click.option("--max-tasks-per-child", type=Whole(min=1), help="Then replace the process.")
@click.option(
    "--max-memory-per-child",
    type=Whole(min=1),
    metavar="KIB",
    help="Then replace the process, after what it runs.",
)
@click.option("--prefetch-multiplier", type=Whole(min=0), help="Messages kept per process.")
@click.option(
    "--drain-timeout",
    type=Decimal(min=0),
    metavar="SECONDS",
    help="To finish when told to stop.",
)
@click.option(
    "-E", "--task-events", "send_events", is_flag=True, default=None, help="Tell monitors of tasks."
)
@click.option("--without-heartbeat", is_flag=True, help="Send monitors no heartbeats.")
@click.option(
    "--heartbeat-interval", type=POSITIVE, metavar="SECONDS", help="Between those; default: 2."
)
@click.option("--without-gossip", is_flag=True, hidden=True, help="Celery's; has no effect.")
@click.option("--without-mingle", is_flag=True, hidden=True, help="Celery's; has no effect.")
@click.option("--reload", is_flag=True, help="Start anew when code changes; for development.")
@launch_options
@click.pass_obj
def worker(obj: Invocation, /, **flags: Any) -> int:
    """Run tasks until told to stop (TERM or Ctrl-C: finish what runs; again: at once)."""
    launch = Launch.take(flags)
    launch.prepare(obj)
    if flags.pop("reload"):
        from umbel.cli.reload import run_reloading

        launch.refuse_detached("--reload")
        return run_reloading(Path(launch.workdir or obj.values.get("workdir") or ".").absolute())
    app = obj.app
    app.import_modules()
    program = Program(app, node_name(flags["hostname"]), flags)
    program.begin()
    options = _options(app, flags)
    if kinds.find(options.pool).patched:
        restart_patched(sys.argv)
    with launch.process(app.conf, options.node, color=obj.color):
        emitter = Emitter()
        LogLines(emitter).subscribe()
        node = Worker(options, emitter)
        program.built(node)
        launch.settled()
        if not obj.quiet and not writes_json(app.conf):
            with contextlib.suppress(OSError, ValueError, AttributeError):  # stdout may be closed
                click.echo(banner(app, options, node))
                sys.stdout.flush()
        return node.run()


def _options(app: Any, flags: dict[str, Any]) -> WorkerOptions:
    if flags["autoscale"] is not None and (flags["concurrency"] or flags["processes"]):
        click.echo("--autoscale decides about the processes: -c is not used", err=True)
    port = flags.pop("health_port")
    if port is not None:
        if flags["health"]:
            raise click.UsageError("--health and --health-port exclude each other")
        flags["health"] = f"0.0.0.0:{port}"  # that is what it is for
    values = worker_values(
        app,
        queues=_names(flags.pop("queues"), "-Q"),
        exclude=_names(flags.pop("exclude_queues"), "-X"),
        concurrency=flags.pop("concurrency"),
        pool=flags.pop("pool"),
        hostname=flags.pop("hostname"),
    )
    renamed = {
        "health": "health_address",
        "heartbeat_interval": "event_heartbeat",
        "max_tasks_per_child": "max_jobs_per_child",
        "prefetch_multiplier": "prefetch",
    }
    if flags.pop("without_heartbeat"):
        flags["heartbeat_interval"] = 0.0
    for unused in ("without_gossip", "without_mingle"):
        del flags[unused]
    for flag, value in flags.items():
        if value is not None:
            values[renamed.get(flag, flag)] = value
    values["prefetch"] = values["prefetch"] or None  # 0 means adaptive, as in the setting
    return WorkerOptions(**values)


def _names(given: str | None, flag: str) -> list[str]:
    """The queues that a flag lists."""
    names = [name.strip() for name in (given or "").split(",") if name.strip()]
    if given is not None and not names:
        raise click.BadParameter("no queue is named", param_hint=flag)
    return names


def banner(app: Any, options: WorkerOptions, node: Worker) -> str:
    """What this worker is, for the person who started it. Passwords are hidden."""
    backend = app.backend
    lines = [
        f" umbel {__version__}  {options.node}",
        "",
        f"  app:      {app.main or '(none)'}",
        f"  broker:   {app.broker.display_url}",
        f"  results:  {backend.display_url if backend is not None else 'disabled'}",
        f"  pool:     {options.pool}, {_size(options, node.board)}",
        f"  queues:   {', '.join(options.queues)}",
        f"  events:   {'on' if options.send_events else 'off (-E turns them on)'}",
    ]
    if node.health is not None:
        lines.append(f"  health:   {node.health.address}")
    lines += ["", "  tasks:", *(f"    {name}" for name in sorted(options.tasks)), ""]
    if hasattr(os, "getuid") and os.getuid() == 0 and "pickle" in app.conf.accept_content:
        lines.insert(0, "Running as root while accepting pickle: whoever can send can be root.")
    return "\n".join(lines)


def _size(options: WorkerOptions, board: Board) -> str:
    if options.autoscale is not None:
        least, most = options.autoscale
        return f"{least} to {most} processes"
    count, slots = len(board.places), board.slots_each
    processes = "1 process" if count == 1 else f"{count} processes"
    return processes if slots == 1 else f"{processes}, {slots} slots in each"
