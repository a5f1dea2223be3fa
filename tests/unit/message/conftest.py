"""Settings for the property tests: a slow machine is not a failure."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("umbel", deadline=None)
settings.load_profile("umbel")
