"""``umbel events --camera``: shows the state of the cluster to a class of the user's own."""

from __future__ import annotations

import importlib
import platform
import signal
import sys
from typing import Any

import click

from umbel.cli.events_watch import Watch
from umbel.cli.launch import Launch
from umbel.cli.main import Invocation
from umbel.events.snapshot import Polaroid

__all__ = ["watch"]


def watch(
    obj: Invocation,
    launch: Launch,
    camera: str,
    frequency: float,
    maxrate: str | None,
    *,
    enable: bool,
) -> None:
    """Listen until Ctrl-C or TERM, with pictures taken meanwhile."""
    app = obj.app
    kind = _import(camera)
    state = app.events.State()
    try:
        taken = kind(state, app=app, freq=frequency, maxrate=maxrate)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    with launch.process(app.conf, f"events@{platform.node()}", color=obj.color):
        if not obj.quiet:
            click.echo(f"Taking snapshots with {camera} every {frequency:g} seconds.")
            sys.stdout.flush()
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        _run(launch, Watch(app, state.event, enable=enable), taken)


def _run(launch: Launch, watching: Watch, taken: Polaroid) -> None:
    settled = False

    def settle() -> None:
        nonlocal settled
        if not settled:
            settled = True
            launch.settled()

    watching.on_listening = settle
    try:
        with taken:
            watching.run()
    except KeyboardInterrupt:
        watching.stop()


def _import(path: str) -> type[Polaroid]:
    module, _, name = path.replace(":", ".").rpartition(".")
    if not (module and name):
        raise click.BadParameter(
            f"{path!r} is not the path of a camera, such as proj.cameras.Camera"
        )
    try:
        found: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise click.BadParameter(f"Cannot import the camera {path!r}: {error}") from error
    if not callable(getattr(found, "install", None)):
        raise click.BadParameter(
            f"{path!r} is no camera: it should be a subclass of umbel.events.snapshot.Polaroid"
        )
    kind: type[Polaroid] = found
    return kind
