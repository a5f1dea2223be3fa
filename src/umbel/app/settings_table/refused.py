"""How a conversion in ``kinds.py`` says that a value will not do. What becomes of it: ``settings_check.py``."""

from __future__ import annotations

__all__ = ["Refused", "Unsupported"]


class Refused(ValueError):
    """A value is not of its kind. The text, if any, is ours and tells more than the kind's ``expects``."""


class Unsupported(Refused):
    """Celery knows the value and Umbel does not: a lenient app says so and takes the default."""
