"""Joins an app to the Django project around it: which app it is, and what the project decides for it.

``connect_project`` is called when Django is ready. A project that defines an app of its own keeps it;
any other gets one that reads Django's settings (``CELERY_…``, and ``UMBEL_…``, which wins). Either
way every app learns where the project keeps its files, which packages may have tasks, what its
tasks can do, how its workers treat connections, and when a test changes a setting. Knows nothing of commands.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from weakref import WeakSet

import django
from django.apps import apps
from django.conf import ENVIRONMENT_VARIABLE, settings
from django.core.exceptions import ImproperlyConfigured as DjangoMisconfigured
from django.core.signals import setting_changed

from umbel.app.app import Umbel
from umbel.app.shared import integrate
from umbel.app.task import Task
from umbel.current import current_app, existing_app, is_default, set_default_factory
from umbel.django.connections import FreshConnections, leave_inherited_connections
from umbel.django.task import DjangoTask
from umbel.exceptions import ImproperlyConfigured

__all__ = ["connect_project", "make_project_app", "set_up_project"]

_joined: WeakSet[Umbel] = WeakSet()


def set_up_project() -> None:
    """Set Django up as ``manage.py`` would, for programs that are not started by it. May be repeated."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        django.setup()
    except ModuleNotFoundError as error:
        module = os.environ.get(ENVIRONMENT_VARIABLE, "")
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise ImproperlyConfigured(
            f"{ENVIRONMENT_VARIABLE} is {module!r}, but there is no module {error.name!r} in {here} "
            "or anywhere else on Python's path"
        ) from error
    except DjangoMisconfigured as error:
        raise ImproperlyConfigured(f"Django cannot be set up: {error}") from error
    if not apps.is_installed("umbel.django"):
        connect_project()


def connect_project() -> None:
    """Make sure that the project has an app, and join every app to it. May be repeated."""
    set_default_factory(make_project_app)
    setting_changed.connect(_forget_settings, dispatch_uid="umbel.django")
    if not _joined:
        integrate(_join)
    app = current_app()
    if is_default(app) and app.namespace is None:
        # Somebody asked for the current app before Django knew of us.
        _find_own_app() or _configure(app)


def make_project_app() -> Umbel:
    """The app that the project defines in its module ``celery``, else a new one."""
    return _find_own_app() or _configure(Umbel())


def _find_own_app() -> Umbel | None:
    before = existing_app()
    for module in _app_modules():
        import_module(module)
        own: Umbel | None = existing_app()
        if own is not before:
            return own
    return None


def _configure(app: Umbel) -> Umbel:
    app.main = _project_name()
    app.worker_command = "python manage.py celery worker"
    app.config_from_object(settings, namespace="CELERY")
    app.autodiscover_tasks()
    return app


def _app_modules() -> Iterator[str]:
    """``proj.celery`` for the settings ``proj.settings``; also above a package of settings."""
    package = (settings.SETTINGS_MODULE or "").rpartition(".")[0]
    while package:
        if find_spec(f"{package}.celery") is not None:
            yield f"{package}.celery"
        package = package.rpartition(".")[0]


def _project_name() -> str:
    """The package that the settings are in; for a lone ``settings.py``, its directory."""
    package, dot, _ = (settings.SETTINGS_MODULE or "").partition(".")
    return package if dot else _base_directory().name


def _base_directory() -> Path:
    return Path(getattr(settings, "BASE_DIR", None) or Path.cwd())


def _join(app: Umbel) -> None:
    _joined.add(app)
    if app.default_directory is None:
        app.default_directory = _base_directory
    if app.default_packages is None:
        app.default_packages = _packages
    if app.task_cls is None and app.Task is Task:
        app.Task = DjangoTask
    app.middlewares.append(FreshConnections)
    app.process_started.append(leave_inherited_connections(os.getpid()))


def _packages() -> list[str]:
    return [config.name for config in apps.get_app_configs()]


def _forget_settings(**_change: Any) -> None:
    for app in _joined:
        app.conf.invalidate()
