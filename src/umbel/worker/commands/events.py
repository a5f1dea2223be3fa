"""Commands about events, with Celery's names and replies."""

from __future__ import annotations

from umbel.worker.commands.registry import control_command
from umbel.worker.commands.state import NodeState

__all__: list[str] = []


@control_command
def enable_events(state: NodeState) -> dict[str, str]:
    """Tell of tasks as events from now on."""
    changed = state.worker.telling.switch(on=True)
    return {"ok": "task events enabled" if changed else "task events already enabled"}


@control_command
def disable_events(state: NodeState) -> dict[str, str]:
    """Tell no more of tasks as events."""
    changed = state.worker.telling.switch(on=False)
    return {"ok": "task events disabled" if changed else "task events already disabled"}


@control_command
def heartbeat(state: NodeState) -> None:
    """Send a heartbeat now, also where none are sent otherwise."""
    state.worker.telling.beat()
