"""``Celery``: an app that accepts what Celery accepts, so that a project runs as it is.

Unknown task options become attributes, unknown call options travel as message properties, and foreign
names in a settings object are left alone; a near miss of a known name is warned about once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Concatenate, Literal, ParamSpec, TypeVar, overload

from umbel.app.app import Umbel
from umbel.app.task import Task

__all__ = ["Celery"]

P = ParamSpec("P")
R = TypeVar("R")


class Celery(Umbel):
    """The lenient app, with the parameters of Celery's in Celery's order. What concerns the inner
    parts of Celery (loader, amqp, events, log, control, fixups) is taken and has no effect."""

    strict: ClassVar[bool] = False

    def __init__(  # noqa: PLR0917 - Celery's positions
        self,
        main: str | None = None,
        loader: Any = None,  # noqa: ARG002
        backend: str | list[str] | None = None,
        amqp: Any = None,  # noqa: ARG002
        events: Any = None,  # noqa: ARG002
        log: Any = None,  # noqa: ARG002
        control: Any = None,  # noqa: ARG002
        set_as_current: bool = True,
        tasks: Any = None,
        broker: Any = None,
        include: Iterable[str] | None = None,
        changes: dict[str, Any] | None = None,
        config_source: Any = None,
        fixups: Any = None,  # noqa: ARG002
        task_cls: type[Task[..., Any]] | str | None = None,
        autofinalize: bool = True,  # noqa: ARG002
        namespace: str | None = None,
        strict_typing: bool = True,
        config_source_silent: bool = False,
        **conf: Any,
    ) -> None:
        super().__init__(
            main,
            broker=broker,
            backend=backend,
            include=(include,) if isinstance(include, str) else include or (),
            namespace=namespace,
            task_cls=task_cls,
            set_as_current=set_as_current,
            strict_typing=strict_typing,
            **{**(changes or {}), **conf},
        )
        if config_source is not None:
            self.config_from_object(config_source, silent=config_source_silent)
        for task in (tasks or {}).values():
            self.register_task(task)

    # Wider than the strict app's: any option is taken, which mypy cannot compare overload by overload.
    @overload  # type: ignore[override]
    def task(
        self, function: Callable[Concatenate[Any, P], R], /, *, bind: Literal[True], **options: Any
    ) -> Task[P, R]: ...
    @overload
    def task(
        self, function: Callable[P, R], /, *, bind: Literal[False] = False, **options: Any
    ) -> Task[P, R]: ...
    @overload
    def task(
        self, *, bind: Literal[True], **options: Any
    ) -> Callable[[Callable[Concatenate[Any, P], R]], Task[P, R]]: ...
    @overload
    def task(
        self, *, bind: Literal[False] = False, **options: Any
    ) -> Callable[[Callable[P, R]], Task[P, R]]: ...
    def task(self, *function: Any, **options: Any) -> Any:  # type: ignore[misc]
        """Make a function a task; unknown options become attributes of the task."""
        return super().task(*function, **options)
