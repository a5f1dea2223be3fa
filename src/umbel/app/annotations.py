"""``task_annotations``: options of tasks given in the settings instead of in the code.

``{"proj.add": {"rate_limit": "10/s"}, "*": {"max_retries": 5}}``, or a list of such dicts. A key that
begins with ``@`` names a method and gives a decorator for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from umbel.app.option_kinds import check_task_values
from umbel.app.options import check_names
from umbel.exceptions import ImproperlyConfigured

if TYPE_CHECKING:
    from umbel.app.task import Task

__all__ = ["annotate"]


def annotate(setting: Any, tasks: Iterable[Task[..., Any]], *, strict: bool) -> None:
    """Apply the setting to these tasks. Doing it again changes nothing. What it says about other
    tasks is checked, too: they may be declared later, or somewhere else."""
    if not setting:
        return
    layers = [setting] if isinstance(setting, Mapping) else list(setting)
    for layer in layers:
        _check(layer, strict=strict)
    for task in tasks:
        for layer in layers:
            for key in ("*", task.name):
                _apply(task, layer.get(key) or {})


def _check(layer: Any, *, strict: bool) -> None:
    if not isinstance(layer, Mapping):
        raise ImproperlyConfigured(
            f"task_annotations holds {layer!r}; it is a dict of task names (or '*') and options, "
            "or a list of such dicts"
        )
    for key, options in layer.items():
        of = f"task_annotations of {key}"
        if options is None:
            continue
        if not isinstance(options, Mapping):
            raise ImproperlyConfigured(f"{of} are {options!r}; expected a dict of options")
        plain = _plain(options)
        check_names(plain, of=of, strict=strict)
        check_task_values(plain, of=of, strict=strict)


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are values, not decorators of methods."""
    return {name: value for name, value in options.items() if not name.startswith("@")}


def _apply(task: Task[..., Any], options: Mapping[str, Any]) -> None:
    plain = _plain(options)
    vars(task).update(plain)
    for name in options.keys() - plain.keys():
        method = getattr(task, name[1:])
        if getattr(method, "annotated_with", None) is not options[name]:
            decorated = options[name](method)
            decorated.annotated_with = options[name]
            setattr(task, name[1:], decorated)
