from __future__ import annotations

from settings import *  # noqa: F403
