"""The same project with addresses that do not exist."""

from __future__ import annotations

from settings import *  # noqa: F403

ROOT_URLCONF = "orders.nowhere"
