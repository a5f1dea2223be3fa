"""Commands about the processes of a node: how many, and all anew; Celery's names and replies.

A wish is noted and answered at once. The supervisor sees to it: a process that has to go finishes
what it runs.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from umbel.worker.commands.registry import control_command
from umbel.worker.commands.state import NodeState
from umbel.worker.renewal import renew
from umbel.worker.size import Refusal

__all__: list[str] = []

_ALONE = {"error": "this worker has no processes to add or to replace: it runs tasks in its own"}


@control_command(args=[("n", int)], signature="[N=1]")
def pool_grow(state: NodeState, n: Any = 1, **_further: Any) -> dict[str, str]:
    """Start so many more processes."""
    if state.worker.solo:
        return _ALONE
    try:
        state.worker.supervisor.size.grow(n)
    except Refusal as refusal:
        return {"error": str(refusal)}
    return {"ok": "pool will grow"}


@control_command(args=[("n", int)], signature="[N=1]")
def pool_shrink(state: NodeState, n: Any = 1, **_further: Any) -> dict[str, str]:
    """Let so many processes finish what they run and leave, idle ones first."""
    if state.worker.solo:
        return _ALONE
    try:
        state.worker.supervisor.size.shrink(n)
    except Refusal as refusal:
        return {"error": str(refusal)}
    return {"ok": "pool will shrink"}


@control_command(args=[("max", int), ("min", int)], signature="[max [min]]")
def autoscale(
    state: NodeState,
    max: Any = None,  # noqa: A002 - Celery's name for it
    min: Any = None,  # noqa: A002 - as above
    **_further: Any,
) -> dict[str, str]:
    """Change the most and the least processes of a worker that has --autoscale."""
    try:
        least, most = state.worker.supervisor.size.bound(max, min)
    except Refusal as refusal:
        return {"error": str(refusal)}
    return {"ok": f"autoscale now max={most} min={least}"}


@control_command()
def pool_restart(
    state: NodeState,
    modules: Any = None,
    reload: Any = False,
    reloader: Any = None,
    **_further: Any,
) -> dict[str, str]:
    """Replace every process when it has finished what it runs; import modules, or again, before."""
    if state.worker.solo:
        return _ALONE
    if not state.app.conf.worker_pool_restarts:
        return {"error": "Pool restarts not enabled: set worker_pool_restarts"}
    if reloader is not None:
        return {"error": "a reloader is a function, which cannot be sent"}
    names = modules or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return {"error": f"modules has to be a list of names, not {modules!r}"}
    state.worker.supervisor.restart(partial(renew, names, again=bool(reload)))
    return {"ok": "reload started"}
