"""The worker as receivers of ``celeryd_init`` and ``celeryd_after_setup`` see it: ``instance``."""

from __future__ import annotations

from typing import Any

from umbel.signals import celeryd_after_setup, celeryd_init

__all__ = ["Program"]


class Program:
    """``umbel worker``, with the options of the command as attributes; ``conf`` of ``app`` may be
    changed until ``begin`` returns."""

    def __init__(self, app: Any, hostname: str, options: dict[str, Any]) -> None:
        self.app = app
        self.hostname = hostname
        self.options = dict(options)
        #: Built after ``begin``.
        self.worker: Any = None

    def begin(self) -> None:
        """Before the settings are used."""
        celeryd_init.send(
            sender=self.hostname, instance=self, conf=self.app.conf, options=self.options
        )

    def built(self, worker: Any) -> None:
        """Before the worker runs."""
        self.worker = worker
        celeryd_after_setup.send(sender=self.hostname, instance=self, conf=self.app.conf)

    def __getattr__(self, name: str) -> Any:
        options = self.__dict__.get("options", {})
        if name not in options:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return options[name]
