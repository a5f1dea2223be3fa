"""``Task``: a function that can be called now or sent away to run elsewhere.

A task is a real object from the decorator on; options are its attributes, and whatever a subclass
overrides is honoured wherever the method would be used. This module is what users see of a task;
sending is ``publisher.py``, running inline ``eager.py``, retries ``retrying.py``, and making a task of
a function ``declaration.py``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, Unpack

from umbel.app import declaration, eager, retrying
from umbel.app.arguments import Arguments, call_arguments
from umbel.app.context import Context, Requested
from umbel.app.events import TaskEvents
from umbel.app.options import TASK_OPTIONS, CallOptions
from umbel.app.outbox import AsyncCalls
from umbel.canvas.signing import Signing
from umbel.current import context_of, current_app, pop_context, push_context
from umbel.exceptions import MaxRetriesExceededError, OperationalError, Retry
from umbel.message.record import ResultRecord
from umbel.result.async_result import AsyncResult
from umbel.result.eager import EagerResult

if TYPE_CHECKING:
    from umbel.app.app import Umbel

__all__ = ["Task"]

P = ParamSpec("P")
R = TypeVar("R")


class Task(Signing, TaskEvents, AsyncCalls[P, R]):
    """A callable that can also be sent. Subclass it and pass the subclass as ``base=`` (or as the
    app's ``task_cls``) to override the handlers, ``__call__``, ``apply_async`` or ``retry``."""

    MaxRetriesExceededError = MaxRetriesExceededError
    OperationalError = OperationalError

    # The options, with their defaults, are set from the table in ``options.py``.
    name: str
    typing: bool | None
    max_retries: int | None
    default_retry_delay: float
    autoretry_for: Any
    dont_autoretry_for: Any
    retry_kwargs: Mapping[str, Any]
    retry_backoff: bool | float
    retry_backoff_max: float
    retry_jitter: bool
    throws: Any
    rate_limit: str | float | None
    time_limit: float | None
    soft_time_limit: float | None
    ignore_result: bool
    store_errors_even_if_ignored: bool
    store_eager_result: bool
    track_started: bool
    acks_late: bool
    acks_on_failure_or_timeout: bool
    acks_on_failure: bool | None
    acks_on_timeout: bool | None
    reject_on_worker_lost: bool | None
    retry_on_worker_lost: bool
    serializer: str
    compression: str | None
    priority: int | None
    expires: Any
    queue: Any
    exchange: Any
    exchange_type: str | None
    routing_key: str | None
    delivery_mode: int | str | None
    backend: Any
    send_events: bool
    trail: bool
    resultrepr_maxsize: int

    #: The app it belongs to; None: the one that is current when it is used.
    _app: Umbel | None = None
    #: The decorator was given a base class.
    based: bool = False
    _checked: tuple[Any, Arguments] | None = None

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self:
        task = super().__new__(cls)
        # Here and not in __init__, because subclasses wrap ``run`` in their __new__.
        declaration.complete(task)
        return task

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in _FROM_SETTINGS:
            if name in cls.__dict__ and cls.__dict__[name] is None:
                delattr(cls, name)  # None means: as the setting says

    @property
    def app(self) -> Umbel:
        """The app it belongs to, or, for a shared task, the current one."""
        app: Umbel = self._app or current_app()
        return app

    @app.setter
    def app(self, app: Umbel | None) -> None:
        self._app = app

    # Calling ----------------------------------------------------------------------------------------

    def run(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """The function itself."""
        raise NotImplementedError(f"{type(self).__name__} must define run()")

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here and now, like any other."""
        context = context_of(self)
        if context is not None and not context.entered and not context.called_directly:
            # A subclass's __call__, called by the worker, hands on to the function.
            context.entered = True
            return self.run(*args, **kwargs)
        with Requested(self, Context(args=args, kwargs=kwargs)):
            return self.run(*args, **kwargs)

    def delay(self, /, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """Send it with these arguments: ``add.delay(2, 3).get(timeout=5)``."""
        return self.apply_async(args, kwargs)

    def apply_async(  # noqa: PLR0917 - Celery's positions
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        task_id: str | None = None,
        producer: Any = None,  # noqa: ARG002 - Celery's position; connections are ours to choose
        link: Any = None,
        link_error: Any = None,
        shadow: str | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncResult[R]:
        """Send it: ``add.apply_async((2, 3), countdown=10, queue="slow")``. Returns at once; raises
        ``OperationalError`` when the broker did not take it in time."""
        if type(args) is not tuple or type(kwargs) is not dict or kwargs:
            args, kwargs = call_arguments(self.name, args, kwargs)
        app = self._app or current_app()
        if self.typing or (self.typing is None and app.strict_typing):
            self.__header__(*args, **kwargs)
        said: Mapping[str, Any] = options
        shadow = shadow or self.shadow_name(args, kwargs, options)
        if shadow is not None:
            said = {**options, "shadow": shadow}
        if link or link_error:
            said = {**said, "link": link, "link_error": link_error}
        if app.conf.task_always_eager:
            return eager.instead_of_sending(self, args, kwargs, task_id=task_id, options=said)
        sent: AsyncResult[R] = app.publisher.send(
            self.name, args, kwargs, said, task=self, task_id=task_id
        )
        return sent

    def delay_many(self, calls: Iterable[Sequence[Any]]) -> list[AsyncResult[R]]:
        """Send it once for each sequence of arguments, a thousand in one round trip:
        ``add.delay_many([(1, 1), (2, 2)])``."""
        return self.apply_async_many((args, {}) for args in calls)

    def apply_async_many(
        self,
        calls: Iterable[tuple[Sequence[Any], Mapping[str, Any]]],
        *,
        link: Any = None,
        link_error: Any = None,
        **options: Unpack[CallOptions],
    ) -> list[AsyncResult[R]]:
        """Send it once for each pair of args and kwargs, all with the same options. When the broker
        is away in the middle, ``OperationalError`` is raised and some may have been sent:
        ``publish_timeout`` (or ``timeout``) bounds each batch of a thousand."""
        app = self._app or current_app()
        said: Any = {**options, "link": link, "link_error": link_error}
        if self.overrides("apply_async") or app.conf.task_always_eager:
            return [self.apply_async(args, kwargs, **said) for args, kwargs in calls]
        strict = self.typing or (self.typing is None and app.strict_typing)
        checked = (self._fitting(args, kwargs, strict=strict) for args, kwargs in calls)
        sent: list[AsyncResult[R]] = app.publisher.send_many(self, checked, said)
        return sent

    def apply(  # noqa: PLR0917 - Celery's positions
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        link: Any = None,
        link_error: Any = None,
        task_id: str | None = None,
        retries: int | None = None,
        throw: bool | None = None,
        logfile: str | None = None,
        loglevel: int | None = None,
        headers: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> EagerResult[R]:
        """Run it here, as a worker would: with a request, handlers and retries (without delay)."""
        args, kwargs = call_arguments(self.name, args, kwargs)
        return eager.apply(
            self, args, kwargs, task_id=task_id, retries=retries or 0, throw=throw,
            headers={"logfile": logfile, "loglevel": loglevel, **(headers or {})},
            options={**options, "link": link, "link_error": link_error},
        )  # fmt: skip

    def __header__(self, /, *args: Any, **kwargs: Any) -> None:
        """Raise ``TypeError`` when the function cannot be called like this."""
        run = self.run
        if self._checked is None or self._checked[0] != run:
            self._checked = (run, Arguments(run, self.name))
        arguments = self._checked[1]
        if kwargs or not arguments.least <= len(args) <= arguments.most:
            arguments.check(args, kwargs)

    def said(self) -> tuple[Any, ...]:
        """What the task says about sending it, as one value that can be compared."""
        queue, exchange = self.queue, self.exchange
        return (
            self.name, queue and str(queue), exchange and str(exchange), self.routing_key,
            self.priority, self.expires, self.delivery_mode,
            self.serializer, self.compression, self.ignore_result,
        )  # fmt: skip

    def _fitting(self, args: Any, kwargs: Any, *, strict: bool) -> tuple[Any, Any]:
        if type(args) is not tuple or type(kwargs) is not dict or kwargs:
            args, kwargs = call_arguments(self.name, args, kwargs)
        if strict:
            self.__header__(*args, **kwargs)
        return args, kwargs

    def shadow_name(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: Mapping[str, Any],
    ) -> str | None:
        """Override it to show another name in logs and monitors for some calls."""

    def callable(self) -> Callable[..., Any]:
        """What a worker calls: the task where a subclass overrides ``__call__``, else the function."""
        return self if type(self).__call__ is not Task.__call__ else self.run

    @property
    def is_coroutine(self) -> bool:
        """Whether its function is an ``async def``."""
        return inspect.iscoroutinefunction(self.run)

    def overrides(self, method: str) -> bool:
        """Whether the class or somebody at run time replaced this method of ``Task``."""
        return method in self.__dict__ or getattr(type(self), method) is not getattr(Task, method)

    # While it runs ----------------------------------------------------------------------------------

    @property
    def request(self) -> Context:
        """What is known about the call it is working on."""
        context: Context | None = context_of(self)
        return Context() if context is None else context

    def requested(self, context: Context) -> Requested:
        """A block in which the task works on the call that ``context`` describes."""
        if type(self).__call__ is Task.__call__:
            context.entered = True
        return Requested(self, context)

    def push_request(self, *values: Mapping[str, Any], **attributes: Any) -> None:
        """Pretend to work on a call, until ``pop_request``; for tests."""
        push_context(self, Context(*values, **attributes))

    def pop_request(self) -> None:
        """End what ``push_request`` began."""
        pop_context()

    def retry(  # noqa: PLR0917 - Celery's positions
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        exc: BaseException | None = None,
        throw: bool = True,
        eta: Any = None,
        countdown: float | None = None,
        max_retries: int | None = None,
        **options: Any,
    ) -> Retry:
        """Run again later: ``raise self.retry(exc=error, countdown=60)``. Raises ``Retry``; when
        there were too many retries, ``exc`` or ``MaxRetriesExceededError``."""
        return retrying.retry(
            self,
            args=args,
            kwargs=kwargs,
            exc=exc,
            throw=throw,
            eta=eta,
            countdown=countdown,
            max_retries=max_retries,
            options=options,
        )

    def update_state(
        self,
        task_id: str | None = None,
        state: str | None = None,
        meta: Any = None,
        request: Context | None = None,
    ) -> None:
        """Say how far it is: ``self.update_state(state="PROGRESS", meta={"done": 3, "of": 10})``.
        Does nothing when the function was called directly."""
        request = request or self.request
        task_id = task_id or request.id
        backend = self.app.backend
        if task_id is None or backend is None or (request.is_eager and not self.store_eager_result):
            return
        backend.store(
            ResultRecord(
                task_id=task_id,
                status=state or "",
                result=meta,
                group_id=request.group,
                parent_id=request.parent_id,
                name=self.name,
                worker=request.hostname,
                retries=request.retries,
                ttl=self.app.conf.result_expires or None,
            )
        )

    def add_trail(self, result: AsyncResult[Any]) -> AsyncResult[Any]:
        """Count this among what the run has sent. Returns it."""
        if self.trail:
            self.request.children.append(result)
        return result

    def AsyncResult(self, task_id: str, **kwargs: Any) -> AsyncResult[R]:  # noqa: N802 - Celery's name
        """The result of an earlier call, by its id."""
        return AsyncResult(task_id, app=self.app, task_name=self.name, **kwargs)

    # Handlers: override them in a subclass -------------------------------------------------------------

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Called before each run; what it raises ends the run."""

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        """Called after a run that returned."""

    def on_retry(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Called after a run that is to be repeated."""

    def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Called after a run that failed."""

    def after_return(  # noqa: PLR0917 - Celery's positions
        self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any
    ) -> None:
        """Called after the last of these, except before a retry."""

    def on_bound(self, app: Umbel) -> None:
        """Called when an app takes the task in."""

    def __reduce__(self) -> tuple[Any, ...]:
        # A task is never copied: a pickle names it, and the receiver looks it up.
        return _by_name, (self.name,)

    def __repr__(self) -> str:
        app = f" of {self._app.main}" if self._app is not None and self._app.main else ""
        return f"<@task: {self.name}{app}>"


def _by_name(name: str) -> Task[..., Any]:
    task: Task[..., Any] = current_app().tasks[name]
    return task


class FromSetting:
    """An attribute that is what a setting says now, unless task or class say otherwise: being no
    data descriptor, it gives way to an attribute of the instance."""

    def __init__(self, setting: str) -> None:
        self.setting = setting

    def __get__(self, task: Task[..., Any] | None, owner: type[Any]) -> Any:
        if task is None:
            return None
        return getattr((task._app or current_app()).conf, self.setting)  # noqa: SLF001 - of this file


class FromApp:
    """The app's result backend, unless the task has one set."""

    def __get__(self, task: Task[..., Any] | None, owner: type[Any]) -> Any:
        return None if task is None else task.app.backend


_FROM_SETTINGS = frozenset(option.name for option in TASK_OPTIONS if option.setting)
for _option in TASK_OPTIONS:
    _default = FromSetting(_option.setting) if _option.setting else _option.default
    setattr(Task, _option.name, _default)
Task.backend = FromApp()
