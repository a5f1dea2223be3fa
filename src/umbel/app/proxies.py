"""``current_app`` and ``current_task`` as names that can be imported: each stands for what is current
at the moment of use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from umbel.current import current_app as find_app
from umbel.current import current_task as find_task

if TYPE_CHECKING:
    from umbel.app.app import Umbel
    from umbel.app.task import Task

__all__ = ["Proxy", "current_app", "current_task"]


class Proxy:
    """Hands everything on to the object that ``find`` returns; false where there is none."""

    __slots__ = ("_find", "_name")

    def __init__(self, find: Callable[[], Any], name: str) -> None:
        object.__setattr__(self, "_find", find)
        object.__setattr__(self, "_name", name)

    def _get_current_object(self) -> Any:
        found = self._find()
        if found is None:
            raise AttributeError(f"{self._name}: there is none here")
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._get_current_object(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._get_current_object(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._get_current_object(), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._get_current_object()(*args, **kwargs)

    def __bool__(self) -> bool:
        return self._find() is not None

    def __eq__(self, other: object) -> bool:
        other = other._find() if isinstance(other, Proxy) else other
        return bool(self._find() == other)

    def __hash__(self) -> int:
        return hash(self._find())

    def __dir__(self) -> list[str]:
        return dir(self._find())

    @property  # type: ignore[misc]  # so that isinstance() looks through
    def __class__(self) -> type[Any]:
        return type(self._find())

    def __repr__(self) -> str:
        return repr(self._find())


#: The app that is meant where none is named.
current_app = cast("Umbel", Proxy(find_app, "current_app"))
#: The task that runs here; false outside of tasks.
current_task = cast("Task[..., Any]", Proxy(find_task, "current_task"))
