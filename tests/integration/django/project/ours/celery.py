"""The project's own app."""

from __future__ import annotations

import os

from umbel import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ours.settings")

app = Celery("ours-by-hand")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
