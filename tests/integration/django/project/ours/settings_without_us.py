"""Settings as a Celery project has them."""

from __future__ import annotations

from ours.settings import *  # noqa: F403

INSTALLED_APPS = ["orders"]
