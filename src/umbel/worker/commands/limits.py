"""Commands that change how often and how long tasks run, with Celery's names and replies.

What they change holds until the worker ends, also in processes that start later. It is not kept: a
worker that starts has the limits of the code and the settings.
"""

from __future__ import annotations

import logging
from typing import Any

from umbel.spelling import nearest
from umbel.worker.commands.registry import control_command
from umbel.worker.commands.state import NodeState
from umbel.worker.rate_limits import interval_of

__all__: list[str] = []

logger = logging.getLogger("umbel.worker")


@control_command(
    args=[("task_name", str), ("rate_limit", str)],
    signature="<task_name> <rate_limit (e.g., 5/s | 5/m | 5/h)>",
)
def rate_limit(
    state: NodeState, task_name: str, rate_limit: str | float | None, **_further: Any
) -> dict[str, str]:
    """Let tasks of this name start so often on this node; 0: as often as they like."""
    rates, task = state.worker.options.rates, _task(state, task_name)
    if task is None:
        return _unknown(state, task_name)
    if rates is None:
        return {"error": "this worker ignores rate limits (worker_disable_rate_limits)"}
    if task_name not in rates.names:
        return {"error": f"{task_name} was registered after the worker had started"}
    try:
        rates.set(task_name, rate_limit)
    except ValueError as error:
        return {"error": f"rate_limit: {error}"}
    limited = interval_of(rate_limit) > 0
    task.rate_limit = rate_limit if limited else None
    if not limited:
        logger.info("Tasks %s have no rate limit any more", task_name)
        return {"ok": "rate limit disabled successfully"}
    logger.info("The rate limit of tasks %s is %s now", task_name, rate_limit)
    return {"ok": "new rate limit set successfully"}


@control_command(
    args=[("task_name", str), ("soft", float), ("hard", float)],
    signature="<task_name> <soft_secs> [hard_secs]",
)
def time_limit(
    state: NodeState, task_name: str, hard: Any = None, soft: Any = None, **_further: Any
) -> dict[str, str]:
    """Give tasks of this name these limits in seconds, from their next run on."""
    task = _task(state, task_name)
    if task is None:
        return _unknown(state, task_name)
    for name, value in (("hard", hard), ("soft", soft)):
        if value is not None and not _is_limit(value):
            return {"error": f"{name} has to be a number of seconds, not {value!r}"}
    hard, soft = hard or None, soft or None
    if hard and soft and hard <= soft:
        return {"error": f"hard ({hard:g} s) has to be more than soft ({soft:g} s)"}
    with state.worker.steward.quiet:  # a child that is forked later begins with it
        task.time_limit, task.soft_time_limit = hard, soft
    # Asked and not told: who reads the reply knows that it holds.
    state.lines.ask("limit_time", task=task_name, hard=hard, soft=soft)
    logger.info("The time limits of tasks %s are now: soft %s, hard %s", task_name, soft, hard)
    return {"ok": "time limits set successfully"}


def _task(state: NodeState, name: Any) -> Any:
    return state.worker.options.tasks.get(name) if isinstance(name, str) else None


def _unknown(state: NodeState, name: Any) -> dict[str, str]:
    said = str(name)[:100]
    return {"error": f"unknown task {said!r}{nearest(said, state.worker.options.tasks)}"}


def _is_limit(value: Any) -> bool:
    longest = 3_155_760_000.0  # a century
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= longest
