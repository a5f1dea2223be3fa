"""For projects that give their workers commands of their own.

    from umbel.remote import control_command


    @control_command(args=[("level", str)], signature="<level>")
    def log_level(state, level):
        '''Log more or less.'''
        logging.getLogger().setLevel(level)
        return {"ok": f"level is {level}"}

Then ``umbel control log_level DEBUG``, or ``app.control.broadcast("log_level", {"level": "DEBUG"})``. The
module has to be one that workers import. What a command is called with, and what it may return:
``worker/commands/registry.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from umbel.worker.commands.registry import control_command, inspect_command

if TYPE_CHECKING:
    from umbel.worker.commands.state import NodeState as NodeState  # noqa: PLC0414 - for annotations

__all__ = ["control_command", "inspect_command"]
