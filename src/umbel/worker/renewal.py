"""Imports modules again before the processes of a worker are replaced: ``pool_restart``.

In the supervisor, from which the new processes are forked. The module of the app itself can be
imported again, but makes another app, of which this worker knows nothing.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Collection

__all__ = ["renew"]

logger = logging.getLogger("umbel.worker")


def renew(modules: Collection[str], *, again: bool) -> None:
    """Import these modules; those that are there already only when they are to be imported
    ``again``. One that cannot be imported is logged, and the old one stays."""
    importlib.invalidate_caches()
    for name in modules:
        try:
            present = sys.modules.get(name)
            if present is None:
                importlib.import_module(name)
            elif again:
                importlib.reload(present)
        except Exception:
            logger.exception("Module %s cannot be imported", name)
