"""The same project with a setting that does not exist."""

from __future__ import annotations

from settings import *  # noqa: F403

CELERY_TASK_ALWAYS_EAGERR = True
