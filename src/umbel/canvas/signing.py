"""What a task offers to make signatures of it: ``add.s(2)``, ``add.si(2, 2)``, ``add.signature(…)``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from umbel.canvas.signature import Signature

if TYPE_CHECKING:
    from umbel.app.context import Context
    from umbel.app.task import Task

__all__ = ["Signing"]


class Signing:
    """Part of every task."""

    def s(self, /, *args: Any, **kwargs: Any) -> Signature:
        """The call with these arguments, to be made later: ``add.s(2)``. What it is called with comes
        before them."""
        return self.signature(args, kwargs)

    def si(self, /, *args: Any, **kwargs: Any) -> Signature:
        """The same, but it takes no arguments beside these."""
        return self.signature(args, kwargs, immutable=True)

    def signature(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Signature:
        """The call with these arguments and options: ``add.signature((2,), countdown=10)``."""
        task = cast("Task[..., Any]", self)
        return Signature(task, args, kwargs, options, app=task._app, **more)  # noqa: SLF001 - a part of it

    subtask = signature

    def signature_from_request(
        self,
        request: Context | None = None,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        queue: str | None = None,
        **extra_options: Any,
    ) -> Signature:
        """The call that a request describes, to be made again with these changes."""
        task = cast("Task[..., Any]", self)
        request = task.request if request is None else request
        args = request.args if args is None else args
        kwargs = request.kwargs if kwargs is None else kwargs
        given = {name: value for name, value in extra_options.items() if value is not None}
        known = {name: value for name, value in request.as_execution_options().items() if value}
        delivery = request.delivery_info or {}
        if queue is not None:
            known["queue"] = queue
        elif delivery.get("routing_key") and not delivery.get("exchange"):
            known["queue"] = delivery["routing_key"]
        if delivery.get("priority") is not None:
            known["priority"] = delivery["priority"]
        headers = {**known.pop("headers", {}), **(given.pop("headers", None) or {})}
        return self.signature(args, kwargs, {**known, **given, "headers": headers})

    subtask_from_request = signature_from_request
