"""A project as small as one can be; its data lies where PROJECT_DATA says."""

from __future__ import annotations

import os
from pathlib import Path

BASE_DIR = Path(os.environ["PROJECT_DATA"])
SECRET_KEY = "for tests"
DEBUG = bool(os.environ.get("DEBUG"))
ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
INSTALLED_APPS = ["umbel.django", "orders"]
ROOT_URLCONF = "orders.urls"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BASE_DIR / "db.sqlite3",
        "CONN_MAX_AGE": None if os.environ.get("PERSISTENT") else 0,
    },
}
CACHES = {"default": {"BACKEND": "orders.cache.CountingCache"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TIME_ZONE = "Asia/Shanghai"
USE_TZ = True
