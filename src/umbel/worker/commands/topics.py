"""All commands of Umbel's own, by topic. Importing this makes them known.

Modules of a project import the registry alone, and with it nothing that runs tasks.
"""

from umbel.worker.commands import events, limits, looking, pool, steering
from umbel.worker.commands.registry import COMMANDS

__all__ = ["COMMANDS", "events", "limits", "looking", "pool", "steering"]
