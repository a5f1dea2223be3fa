"""Asking and telling workers while they run: ``app.control``. Names as in ``celery.app.control``."""

from umbel.app.control.control import Control
from umbel.app.control.inspection import Inspect
from umbel.app.control.replies import flatten_reply

__all__ = ["Control", "Inspect", "flatten_reply"]
