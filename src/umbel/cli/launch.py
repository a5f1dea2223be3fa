"""How a worker's process is started and what it writes to: the options of every daemon.

``Launch`` takes its options out of those of a command. It knows nothing of what the process does.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from umbel.cli.daemon import Umask, detach, drop_rights
from umbel.cli.main import Invocation
from umbel.cli.pidfile import pidfile, refuse_occupied
from umbel.worker.log_setup import JSON, expand, set_up_logging

__all__ = ["Launch", "launch_options", "writes_json"]

F = TypeVar("F", bound=Callable[..., Any])

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "FATAL")

OPTIONS = (
    click.option(
        "-l",
        "--loglevel",
        default="WARNING",
        show_default=True,
        type=click.Choice(LEVELS, case_sensitive=False),
        help="INFO shows a line for each task.",
    ),
    click.option("-f", "--logfile", metavar="FILE", help="Log there; %n %h %p %i %I are known."),
    click.option("--log-format", metavar="FORMAT", help="json, or a format of Python's logging."),
    click.option(
        "--pidfile", metavar="FILE", help="Keep the process id there; %n %h %p are known."
    ),
    click.option("-D", "--detach", is_flag=True, help="Run in the background."),
    click.option(
        "--workdir",
        metavar="DIR",
        type=click.Path(exists=True, file_okay=False),
        help="Change to this directory first.",
    ),
    click.option("--umask", type=Umask(), metavar="OCTAL", help="Rights that new files lack."),
    click.option("--uid", metavar="USER", help="Run as this user (name or number)."),
    click.option("--gid", metavar="GROUP", help="Run as this group (name or number)."),
)


def launch_options(command: F) -> F:
    """Give a command the options that ``Launch`` takes."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


class Launch(msgspec.Struct):
    """``prepare`` before the app is imported; ``process`` around the work; ``settled`` when what
    can go wrong at the start has not."""

    loglevel: str = "WARNING"
    logfile: str | None = None
    log_format: str | None = None
    pidfile: str | None = None
    detach: bool = False
    workdir: str | None = None
    umask: int | None = None
    uid: str | None = None
    gid: str | None = None
    settled: Callable[[], None] = lambda: None

    @classmethod
    def take(cls, flags: dict[str, Any]) -> Launch:
        """Out of the options of a command, which keep the others."""
        names = [name for name in cls.__struct_fields__ if name != "settled"]
        return cls(**{name: flags.pop(name) for name in names if name in flags})

    def prepare(self, obj: Invocation) -> None:
        """What has to be so before code of the project runs."""
        if self.workdir:
            obj.values["workdir"] = str(Path(self.workdir).absolute())
        if self.umask is not None:
            os.umask(self.umask)
        drop_rights(self.uid, self.gid)

    def refuse_detached(self, option: str) -> None:
        """For what makes no sense without somebody who looks at it."""
        if self.detach:
            raise click.UsageError(f"{option} and --detach exclude each other")

    @contextmanager
    def process(self, conf: Any, node: str, *, color: bool | None = None) -> Iterator[None]:
        """In the block, this is the process that was asked for: in the background, with its
        pidfile and its log."""
        path = Path(expand(self.pidfile, node)) if self.pidfile else None
        if path is not None:
            refuse_occupied(path)  # said while somebody is there to read it
        if self.log_format:
            conf.worker_log_format = self.log_format
        leave = detach() if self.detach else None
        with pidfile(path) if path is not None else nullcontext():
            self._log(conf, node, color=color)
            if leave is not None:
                file = expand(self.logfile, node) if self.logfile else None
                self.settled = lambda: leave(file)
            yield

    def _log(self, conf: Any, node: str, *, color: bool | None) -> None:
        try:
            done = set_up_logging(
                getattr(logging, self.loglevel.upper()),
                line_format=conf.worker_log_format,
                task_format=conf.worker_task_log_format,
                date_format=conf.worker_log_datefmt,
                task_date_format=conf.worker_task_log_datefmt,
                color=conf.worker_log_color if color is None else color,
                hijack=conf.worker_hijack_root_logger,
                file=self.logfile,
                node=node,
            )
        except OSError as error:
            raise click.ClickException(
                f"cannot write the log file {error.filename}: {error.strerror}"
            ) from None
        if not done and (self.logfile or self.log_format):
            click.echo(
                "Warning: the application set up logging itself: --logfile and --log-format have "
                "no effect",
                err=True,
            )


def writes_json(conf: Any) -> bool:
    """Whether the log is for programs: then nothing else is printed."""
    return bool(conf.worker_log_format == JSON)
