"""The commands of remote control, by topic. Importing this makes them known."""

from umbel.worker.commands import events, limits, looking, pool, steering

__all__ = ["events", "limits", "looking", "pool", "steering"]
