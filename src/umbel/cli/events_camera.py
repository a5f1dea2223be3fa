"""``umbel events --camera``: shows the state of the cluster to a class of the user's own."""

from __future__ import annotations

import importlib
from typing import Any

import click

from umbel.cli.events_watch import Watch
from umbel.events.snapshot import Polaroid

__all__ = ["watch"]


def watch(app: Any, camera: str, frequency: float, maxrate: str | None, *, enable: bool) -> None:
    """Listen until Ctrl-C, with pictures taken meanwhile."""
    kind = _import(camera)
    state = app.events.State()
    try:
        taken = kind(state, app=app, freq=frequency, maxrate=maxrate)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    watching = Watch(app, state.event, enable=enable)
    click.echo(f"Taking snapshots with {camera} every {frequency:g} seconds; Ctrl-C ends it.")
    try:
        with taken:
            watching.run()
    except KeyboardInterrupt:
        watching.stop()


def _import(path: str) -> type[Polaroid]:
    module, _, name = path.replace(":", ".").rpartition(".")
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
