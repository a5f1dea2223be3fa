"""The same project with settings in both namespaces."""

from __future__ import annotations

from settings import *  # noqa: F403

CELERY_TASK_DEFAULT_QUEUE = "from-celery"
UMBEL_TASK_DEFAULT_QUEUE = "from-umbel"
CELERY_TASK_DEFAULT_PRIORITY = 3
CELERY_TIMEZONE = "Europe/Berlin"
