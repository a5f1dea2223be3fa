"""Settings of the demonstration. Of Umbel it needs one line: its name in INSTALLED_APPS.

The CELERY_ settings below only move the queue's file beside the other data; without them it lies
in BASE_DIR as ``umbel.sqlite3``. CELERY_BROKER_URL and CELERY_RESULT_BACKEND in the environment
move the demonstration to a server.
"""

from __future__ import annotations

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("DEMO_DATA_DIR", BASE_DIR / "data")).resolve()
DATA_DIR.mkdir(parents=True, exist_ok=True)

# For a demonstration on the own machine only.
SECRET_KEY = "not-a-secret: this project only ever listens on the loopback address"
DEBUG = bool(os.environ.get("DEMO_DEBUG"))
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", "testserver"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "umbel.django",
    "analysis",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "demo.urls"
WSGI_APPLICATION = "demo.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "db.sqlite3",
        # The web server and the worker use it at the same time.
        "OPTIONS": {
            "init_command": "PRAGMA journal_mode=WAL",
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
        },
    },
}

# Requests on the terminal, without the pages that ask how far a job is; and why a page failed,
# which Django without DEBUG would only send by mail.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "no_polls": {
            "()": "django.utils.log.CallbackFilter",
            "callback": lambda record: "/state.json" not in record.getMessage(),
        },
    },
    "formatters": {"server": {"()": "django.utils.log.ServerFormatter", "format": "%(message)s"}},
    "handlers": {
        "server": {
            "class": "logging.StreamHandler",
            "filters": ["no_polls"],
            "formatter": "server",
        },
        "failures": {"class": "logging.StreamHandler"},
    },
    "loggers": {
        "django.server": {"handlers": ["server"], "level": "INFO", "propagate": False},
        "django.request": {"handlers": ["failures"], "level": "ERROR", "propagate": False},
    },
}

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
MEDIA_ROOT = DATA_DIR / "media"

CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL", f"sqlite:///{DATA_DIR}/umbel.sqlite3")
CELERY_RESULT_BACKEND = os.environ.get("CELERY_RESULT_BACKEND", CELERY_BROKER_URL)
# The reports are the point of this project: keep them as long as the uploads.
CELERY_RESULT_EXPIRES = None
