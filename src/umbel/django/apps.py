"""The entry for INSTALLED_APPS: ``"umbel.django"``."""

from __future__ import annotations

from django.apps import AppConfig

from umbel.current import set_default_factory
from umbel.django.integration import connect_project, make_project_app

__all__ = ["UmbelConfig"]

# Before any app is ready: one that asks for the current app too early gets the project's.
set_default_factory(make_project_app)


class UmbelConfig(AppConfig):
    """Gives the project an app when it has none, and keeps the app in step with the settings."""

    name = "umbel.django"
    label = "umbel"
    verbose_name = "Umbel"

    def ready(self) -> None:
        connect_project()
