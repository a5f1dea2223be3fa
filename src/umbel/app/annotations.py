"""``task_annotations``: options of tasks given in the settings instead of in the code.

``{"proj.add": {"rate_limit": "10/s"}, "*": {"max_retries": 5}}``, or a list of such dicts. A key that
begins with ``@`` names a method and gives a decorator for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from umbel.app.options import check_names, check_rate
from umbel.exceptions import ImproperlyConfigured

if TYPE_CHECKING:
    from umbel.app.task import Task

__all__ = ["annotate"]


def annotate(setting: Any, tasks: Iterable[Task[..., Any]], *, strict: bool) -> None:
    """Apply the setting to these tasks. Doing it again changes nothing."""
    if not setting:
        return
    layers = [setting] if isinstance(setting, Mapping) else list(setting)
    for layer in layers:
        if not isinstance(layer, Mapping):
            raise ImproperlyConfigured(
                f"task_annotations holds {layer!r}; it is a dict of task names (or '*') and options, "
                "or a list of such dicts"
            )
    for task in tasks:
        for layer in layers:
            for key in ("*", task.name):
                _apply(task, layer.get(key) or {}, strict=strict)


def _apply(task: Task[..., Any], options: Mapping[str, Any], *, strict: bool) -> None:
    plain = {name: value for name, value in options.items() if not name.startswith("@")}
    check_names(plain, of=f"task_annotations of {task.name}", strict=strict)
    check_rate(plain.get("rate_limit"), of=f"task_annotations of {task.name}")
    vars(task).update(plain)
    for name in options.keys() - plain.keys():
        method = getattr(task, name[1:])
        if getattr(method, "annotated_with", None) is not options[name]:
            decorated = options[name](method)
            decorated.annotated_with = options[name]
            setattr(task, name[1:], decorated)
