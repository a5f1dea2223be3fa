"""``manage.py celery …`` and ``manage.py umbel …``: the ``umbel`` command with the project's app.

Django has read ``--settings`` and ``--pythonpath``, wherever they stand, before a command is found;
here they are taken out, and everything else is for the command line in ``umbel.cli``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from umbel.cli.main import run
from umbel.current import current_app

__all__ = ["UmbelCommand"]

_DJANGO_OPTIONS = ("--settings", "--pythonpath")
_SKIP_CHECKS = "--skip-checks"
_SKIP_VARIABLES = ("UMBEL_SKIP_CHECKS", "CELERY_SKIP_CHECKS", "SKIP_CHECKS")


class UmbelCommand(BaseCommand):
    """Hands its arguments on. Exit codes are those of the command line."""

    help = "Run workers, send tasks, look at results and queues (umbel --help)."
    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> None:
        arguments = list(_without_django_options(argv[2:]))
        try:
            code = self._run(arguments, f"{Path(argv[0]).name} {argv[1]}")
        except CommandError as error:
            self.stderr.write(str(error))
            code = error.returncode
        sys.exit(code)

    def print_help(self, prog_name: str, subcommand: str) -> None:
        run(["--help"], app=current_app(), prog_name=f"{prog_name} {subcommand}")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("arguments", nargs="...")

    def handle(self, *_args: Any, arguments: Sequence[str], **_options: Any) -> None:
        """For ``call_command("celery", "queues", "--json")``."""
        code = self._run(list(arguments), "umbel")
        if code:
            raise CommandError(f"umbel {' '.join(arguments)} ended with {code}", returncode=code)

    def _run(self, arguments: list[str], prog_name: str) -> int:
        if "worker" in arguments:
            checked = _SKIP_CHECKS not in arguments and not any(
                map(os.environ.get, _SKIP_VARIABLES)
            )
            if checked and "--help" not in arguments:
                self.check()
            arguments = [word for word in arguments if word != _SKIP_CHECKS]
        return run(arguments, app=current_app(), prog_name=prog_name)


def _without_django_options(words: Sequence[str]) -> Iterator[str]:
    rest = iter(words)
    for word in rest:
        if word in _DJANGO_OPTIONS:
            next(rest, None)
        elif not word.startswith(tuple(f"{option}=" for option in _DJANGO_OPTIONS)):
            yield word
