"""``umbel events``: what happens, as it happens: a live view, lines, or snapshots for a camera."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import Any

import click

from umbel.cli.events_dump import Dump
from umbel.cli.events_watch import Watch
from umbel.cli.launch import Launch, launch_options
from umbel.cli.main import Invocation

__all__ = ["events"]


@click.command()
@click.option("-d", "--dump", is_flag=True, help="Print a line for each event.")
@click.option("-j", "--json", "as_json", is_flag=True, help="With --dump: each line is JSON.")
@click.option(
    "-c", "--camera", metavar="CLASS", help="Show the state to this camera, again and again."
)
@click.option(
    "-F",
    "--frequency",
    "--freq",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="With --camera: seconds between two snapshots.",
)
@click.option("-r", "--maxrate", metavar="RATE", help="With --camera: at most so many: 10/m.")
@click.option(
    "--passive", is_flag=True, help="Do not ask workers to tell of their tasks; see only who does."
)
@launch_options
@click.pass_obj
def events(
    obj: Invocation,
    /,
    *,
    dump: bool,
    as_json: bool,
    camera: str | None,
    frequency: float,
    maxrate: str | None,
    passive: bool,
    **flags: Any,
) -> None:
    """Watch workers and tasks live. The keys stand at the bottom of the view."""
    launch = Launch.take(flags)
    if as_json and not dump:
        raise click.UsageError("--json goes with --dump")
    if dump and camera:
        raise click.UsageError("--dump and --camera exclude each other")
    if maxrate and not camera:
        raise click.UsageError("--maxrate goes with --camera")
    if not camera and (launch.detach or launch.pidfile or launch.logfile or launch.log_format):
        raise click.UsageError("--detach, --pidfile, --logfile and --log-format go with --camera")
    launch.prepare(obj)
    if dump:
        _print_lines(obj.app, as_json=as_json, enable=not passive, quiet=obj.quiet)
    elif camera:
        snapshots = importlib.import_module("umbel.cli.events_camera")
        snapshots.watch(obj, launch, camera, frequency, maxrate, enable=not passive)
    else:
        _view(obj.app, enable=not passive)


def _print_lines(app: Any, *, as_json: bool, enable: bool, quiet: bool) -> None:
    lines = Dump(as_json=as_json)

    def begin() -> None:
        if not quiet:
            click.echo(f"Listening to events on {watch.where}; Ctrl-C ends it.", err=True)

    def show(event: dict[str, Any]) -> None:
        try:
            sys.stdout.write(lines.line(event) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:  # nobody reads on; what is left must not be tried at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            watch.stop()

    watch = Watch(app, show, enable=enable, on_listening=begin)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        watch.run()
    except KeyboardInterrupt:
        watch.stop()


def _view(app: Any, *, enable: bool) -> None:
    if not sys.stdout.isatty():
        raise click.ClickException(
            "The live view needs a terminal; `umbel events --dump` prints lines anywhere"
        )
    try:
        view = importlib.import_module("umbel.cli.events_view")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("textual", "rich"):
            raise
        raise click.ClickException(
            "The live view needs the package textual: pip install 'umbel[events]'; "
            "`umbel events --dump` works without"
        ) from None
    view.EventsView(app, enable=enable).run()
