from __future__ import annotations

from umbel import Celery

app = Celery("forgotten-by-init")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
