"""Settings of the project with an app of its own."""

from __future__ import annotations

from settings import *  # noqa: F403

CELERY_TASK_DEFAULT_QUEUE = "ours"
