"""``umbel report``: what a helper needs to know of an installation, without secrets."""

from __future__ import annotations

import platform
import sys
from importlib import metadata

import click

from umbel import __version__
from umbel.cli.main import Invocation

__all__ = ["report"]

PACKAGES = (
    "redis",
    "hiredis",
    "msgspec",
    "click",
    "Django",
    "psycopg",
    "PyMySQL",
    "amqp",
    "gevent",
)


@click.command()
@click.pass_obj
def report(obj: Invocation) -> None:
    """Print versions, platform and changed settings (passwords hidden)."""
    app = obj.app
    click.echo(f"umbel {__version__}, Python {platform.python_version()}, {platform.platform()}")
    for package in PACKAGES:
        try:
            click.echo(f"  {package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    backend = app.backend
    click.echo(f"app: {app.main or '(none)'} ({sys.executable})")
    click.echo(f"broker: {app.broker.display_url}")
    click.echo(f"results: {backend.display_url if backend is not None else 'disabled'}")
    click.echo("settings:")
    for name, value in sorted(app.conf.table(with_defaults=False, censored=True).items()):
        click.echo(f"  {name}: {value!r}")
