"""The whole suite that every result backend passes: one class, told in chapters.

Inherit from ``BackendConformance`` and say how to reach an empty store (see ``kind.py``).
"""

from __future__ import annotations

from umbel.testing.conformance.backend_async import AsyncResultsChapter
from umbel.testing.conformance.backend_store import StoreChapter
from umbel.testing.conformance.backend_wait import WaitingChapter

__all__ = ["BackendConformance"]


class BackendConformance(StoreChapter, WaitingChapter, AsyncResultsChapter):
    """Every promise of ``ResultBackend``."""
