"""The ``umbel`` command: global options and the list of subcommands, each loaded when it is used.

Errors that a person can mend are printed as one line and end with exit code 1 (2 for a wrong
command line); a traceback means a fault of ours.
"""

from __future__ import annotations

import importlib
import os
import shlex
import sys
from collections.abc import Sequence
from typing import Any

import click

from umbel import __version__
from umbel.exceptions import UmbelError
from umbel.spelling import nearest

__all__ = ["cli", "main"]

COMMANDS = {
    "call": "umbel.cli.call:call",
    "control": "umbel.cli.remote:control",
    "dead": "umbel.cli.dead:dead",
    "delayed": "umbel.cli.delayed:delayed",
    "events": "umbel.cli.events:events",
    "health": "umbel.cli.health:health",
    "inspect": "umbel.cli.remote:inspect",
    "multi": "umbel.cli.multi:multi",
    "purge": "umbel.cli.queues:purge",
    "queues": "umbel.cli.queues:queues",
    "report": "umbel.cli.report:report",
    "result": "umbel.cli.result:result",
    "status": "umbel.cli.status:status",
    "worker": "umbel.cli.worker:worker",
}


#: Commands of Celery that do not exist yet; what they could be mistaken for is not meant.
LATER = frozenset(
    {"amqp", "beat", "flower", "graph", "list", "logtool"} | {"migrate", "shell", "upgrade"}
)


class Commands(click.Group):
    """A group whose commands are imported when they are asked for: start-up time is latency."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        path = COMMANDS.get(cmd_name)
        if path is None:
            return None
        module, _, name = path.partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        # `umbel worker -A proj` means what `umbel -A proj worker` means; Celery changed it twice.
        name, rest = args[0], args[1:]
        for index, word in enumerate(rest):
            if word in ("-A", "--app") and index + 1 < len(rest):
                ctx.params["app"] = rest[index + 1]
                rest = [*rest[:index], *rest[index + 2 :]]
                break
            if word.startswith("--app="):
                ctx.params["app"] = word.partition("=")[2]
                rest = [*rest[:index], *rest[index + 1 :]]
                break
        # What `run` was given as the app.
        given = ctx.obj
        if name in LATER:
            ctx.fail(f"This version of Umbel has no command {name!r}; it comes with a later one")
        if name not in COMMANDS and not name.startswith("-"):
            ctx.fail(f"No such command {name!r}{nearest(name, COMMANDS)}")
        values = {key: ctx.params.get(key) for key in Invocation.FIELDS}
        ctx.obj = Invocation(given, shlex.join([name, *rest]), **values)
        return super().resolve_command(ctx, [name, *rest])


class Invocation:
    """What the global options said; gives the app on first use."""

    FIELDS = ("app", "broker", "result_backend", "workdir", "quiet", "no_color")

    def __init__(self, given: Any = None, command: str = "worker", **values: Any) -> None:
        self.values = values
        #: As it was typed, without the global options.
        self.command = command
        self._given = given
        self._app: Any = None

    @property
    def quiet(self) -> bool:
        return bool(self.values.get("quiet"))

    @property
    def color(self) -> bool | None:
        """False: nothing is to have colours."""
        return False if self.values.get("no_color") else None

    @property
    def app(self) -> Any:
        """The app that -A names, or the one of the Django project that runs us."""
        if self._app is None:
            workdir = self.values.get("workdir")
            if workdir:
                os.chdir(workdir)
            self._app = app = self._given or self._find_app()
            for option, setting in (("broker", "broker_url"), ("result_backend",) * 2):
                if self.values.get(option):
                    app.conf[setting] = self.values[option]
        return self._app

    def _find_app(self) -> Any:
        """A module that holds an app may say which Django settings it belongs to; so may the
        environment, and then the project's app is found without being named."""
        discovery = importlib.import_module("umbel.app.discovery")
        name = self.values.get("app")
        if not name:
            _set_up_django()
        app = discovery.find_app(name, self.command)
        _set_up_django()
        return app


def _set_up_django() -> None:
    if not os.environ.get("DJANGO_SETTINGS_MODULE"):
        return
    try:
        integration = importlib.import_module("umbel.django.integration")
    except ModuleNotFoundError as error:
        if error.name != "django":
            raise
        click.echo("DJANGO_SETTINGS_MODULE is set, but Django is not installed.", err=True)
    else:
        integration.set_up_project()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-A", "--app", envvar="APP", metavar="MODULE", help="Where the app is: module or module:name."
)
@click.option(
    "-b", "--broker", metavar="URL", help="Use this broker instead of the configured one."
)
@click.option("--result-backend", metavar="URL", help="Use this result backend instead.")
@click.option(
    "--workdir",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False),
    help="Change to this directory first.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print less.")
@click.option("-C", "--no-color", is_flag=True, help="No colours.")
@click.version_option(__version__, prog_name="umbel")
@click.pass_context
def cli(ctx: click.Context, /, **_options: Any) -> None:
    """Umbel, a distributed task queue for Django and plain Python."""
    if ctx.params.get("no_color"):
        ctx.color = False


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the console script."""
    sys.exit(run(argv))


def run(argv: Sequence[str] | None = None, *, app: Any = None, prog_name: str = "umbel") -> int:
    """Run a command line and return its exit code; ``app``: what to use instead of -A."""
    try:
        code = cli.main(
            args=list(argv) if argv is not None else None,
            prog_name=prog_name,
            standalone_mode=False,
            obj=app,
        )
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.Abort:
        click.echo("Aborted.", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except UmbelError as error:
        click.echo(f"Error: {error}", err=True)
        return 1
    return code if isinstance(code, int) else 0
