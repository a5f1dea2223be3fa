"""Importing the modules in which an app's tasks are: ``imports``, ``include`` and autodiscovery.

Nothing is imported until somebody needs to know all tasks (a worker that starts, or a task name that
is looked up and missing), because an app is usually made while its project is being imported.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from umbel.exceptions import ImproperlyConfigured
from umbel.signals import import_modules

if TYPE_CHECKING:
    from umbel.app.app import Umbel

__all__ = ["Loader", "Packages"]

#: Names of packages, or a function that tells them when they are needed.
Packages = Iterable[str] | Callable[[], Iterable[str]]


class Loader:
    """Imports the task modules of one app, each once."""

    def __init__(self, app: Umbel) -> None:
        self._app = app
        self._lock = threading.RLock()
        self._discoveries: list[tuple[Packages | None, str | None]] = []
        self._importing = False
        self._announced = False
        self._imported: set[str] = set()

    def autodiscover(
        self, packages: Packages | None, related_name: str | None, *, force: bool
    ) -> None:
        """Remember to look for ``<package>.<related_name>``; with ``force``, look now."""
        if force:
            self._discover(packages, related_name)
        else:
            self._discoveries.append((packages, related_name))

    def import_default_modules(self) -> None:
        """Import everything that may define tasks and has not been imported yet."""
        with self._lock:
            if self._importing:  # a module that is being imported looks for a task
                return
            self._importing = True
            try:
                if not self._announced:
                    self._announced = True
                    import_modules.send(sender=self._app)
                conf = self._app.conf
                for setting in ("imports", "include"):
                    for module in conf[setting]:
                        self._import_named(module, setting)
                while self._discoveries:
                    self._discover(*self._discoveries.pop(0))
            finally:
                self._importing = False

    def import_task_module(self, module: str) -> None:
        """Import one module by name."""
        if module not in self._imported:
            import_module(module)
            self._imported.add(module)

    def _import_named(self, module: str, setting: str) -> None:
        try:
            self.import_task_module(module)
        except ModuleNotFoundError as error:
            missing = error.name
            if missing is None or not f"{module}.".startswith(f"{missing}."):
                raise  # it is there, and imports what is not
            raise ImproperlyConfigured(
                f"{setting} names {module!r}, but there is no module {missing!r}"
            ) from error

    def _discover(self, packages: Packages | None, related_name: str | None) -> None:
        if packages is None:
            packages = self._app.default_packages or ()
        found: Any = packages() if callable(packages) else packages
        for package in (found,) if isinstance(found, str) else found:
            _import_related(package, related_name)


def _import_related(package: str, related_name: str | None) -> ModuleType | None:
    """``package.related_name``, if there is such a module; what goes wrong inside it is raised."""
    try:
        import_module(package)
    except ModuleNotFoundError as error:
        # Django's INSTALLED_APPS may name a class in a module of the package.
        parent, _, _ = package.rpartition(".")
        if error.name != package or not parent:
            raise
        package = parent
    if related_name is None:
        return None
    wanted = f"{package}.{related_name}"
    try:
        return import_module(wanted)
    except ModuleNotFoundError as error:
        if error.name != wanted:
            raise
        return None
