"""The same project; one of its apps uses Umbel before Umbel is ready."""

from __future__ import annotations

from settings import *  # noqa: F403

INSTALLED_APPS = ["orders", "umbel.django"]
EARLY = True
