"""A broker inside this process: for tests, for trying things out, for ``solo`` in one process."""

from __future__ import annotations

from umbel.brokers.memory.broker import MemoryBroker

__all__ = ["MemoryBroker"]
