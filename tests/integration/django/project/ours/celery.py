"""The project's own app."""

from __future__ import annotations

import os

from umbel import Celery, Task

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ours.settings")


class OurTask(Task):
    """What all tasks of this project are."""


app = Celery("ours-by-hand", task_cls=OurTask)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
