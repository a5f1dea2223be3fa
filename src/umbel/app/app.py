"""``Umbel``, the object that a project configures and declares its tasks with.

An app holds settings and tasks and gives access to the parts that do the work: the publisher sends,
broker and backend store, the loader imports. It does no work itself, and nothing is connected or
imported before it is needed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Concatenate, Literal, ParamSpec, Self, TypeVar, Unpack, overload

from umbel.app import shared
from umbel.app.amqp import Amqp, AppQueues
from umbel.app.annotations import annotate
from umbel.app.announcing import AppSignals
from umbel.app.arguments import call_arguments
from umbel.app.config import Config
from umbel.app.control import Control
from umbel.app.declaration import declare, module_name, resolve
from umbel.app.events import AppEvents
from umbel.app.loading import Loader, Packages
from umbel.app.moments import zone
from umbel.app.option_kinds import check_task
from umbel.app.options import TaskOptions, checked_name
from umbel.app.outbox import AsyncSending
from umbel.app.publisher import Publisher
from umbel.app.purging import purge
from umbel.app.registry import TaskRegistry
from umbel.app.stores import Stores
from umbel.app.task import Task as TaskOf
from umbel.backends.base import ResultBackend
from umbel.brokers.base import Broker
from umbel.canvas.signature import Signature, signature
from umbel.current import current_task, existing_app, outermost_task, set_current_app
from umbel.exceptions import ImproperlyConfigured
from umbel.result.async_result import AsyncResult as ResultOf

__all__ = ["Umbel"]

P = ParamSpec("P")
R = TypeVar("R")


class Umbel(AppSignals, AppQueues, AppEvents, AsyncSending):
    """A project's app: ``app = Umbel("proj", broker="redis://…")``. Further keyword arguments are settings."""

    #: Whether unknown settings and options are errors.
    strict: ClassVar[bool] = True
    #: The class of this app's tasks, or its dotted path.
    task_cls: type[TaskOf[..., Any]] | str | None = None
    #: Where the embedded SQLite file is; None: the current directory.
    default_directory: str | os.PathLike[str] | Callable[[], str | os.PathLike[str]] | None = None
    #: Where ``autodiscover_tasks()`` looks when it is not told.
    default_packages: Packages | None = None
    #: How a worker is started, where `umbel -A` could not name the app; for integrations.
    worker_command: str | None = None

    def __init__(
        self,
        main: str | None = None,
        *,
        broker: Any = None,
        backend: str | list[str] | None = None,
        include: Iterable[str] = (),
        config_source: Any = None,
        namespace: str | None = None,
        task_cls: type[TaskOf[..., Any]] | str | None = None,
        set_as_current: bool = True,
        strict_typing: bool = True,
        **conf: Any,
    ) -> None:
        super().__init__()
        self.main = main
        self.namespace = namespace
        self.strict_typing = strict_typing
        given = {"broker_url": broker, "result_backend": backend, "include": tuple(include) or None}
        arguments = {**conf, **{name: value for name, value in given.items() if value is not None}}
        self.conf = Config(strict=self.strict, arguments=arguments)
        self.tasks = TaskRegistry(self.import_modules, strict=self.strict)
        self.loader = Loader(self)
        self.publisher = Publisher(self)
        self.amqp = Amqp(self)
        self.control = Control(self)
        #: Makers of additional middlewares, and what each worker process calls first; for integrations.
        self.middlewares: list[Callable[[], Any]] = []
        self.process_started: list[Callable[[], None]] = []
        self._stores = Stores(self)
        self._task_class: type[TaskOf[..., Any]] | None = None
        if task_cls is not None:
            self.task_cls = task_cls
        if config_source is not None:
            self.config_from_object(config_source)
        shared.adopt(self)
        if set_as_current:
            self.set_current()
        self.on_init()

    def on_init(self) -> None:
        """Called at the end of construction; for subclasses."""

    # Settings -----------------------------------------------------------------------------------------

    def config_from_object(
        self, obj: Any, silent: bool = False, force: bool = False, namespace: str | None = None
    ) -> None:
        """Read settings from a module, object or dict, or the dotted path of one; names may begin with
        ``namespace`` (``CELERY`` reads ``CELERY_BROKER_URL``). Imported when a setting is first read,
        or now with ``force``."""
        self.namespace = namespace or self.namespace
        self.conf.add_source(obj, namespace=self.namespace, silent=silent)
        if force:
            self.conf.get("broker_url")

    def config_from_envvar(
        self, variable_name: str, silent: bool = False, force: bool = False
    ) -> bool:
        """Read settings from the module that this environment variable names."""
        module = os.environ.get(variable_name)
        if not module:
            if silent:
                return False
            raise ImproperlyConfigured(
                f"The environment variable {variable_name} is not set; it should name the module "
                "that holds the settings"
            )
        self.config_from_object(module, silent=silent, force=force)
        return True

    def add_defaults(self, fun: Mapping[str, Any] | Callable[[], Mapping[str, Any]]) -> None:
        """Add settings that hold where nothing else says anything."""
        self.conf.add_defaults(fun)

    @property
    def timezone(self) -> tzinfo:
        """The app's zone: setting ``timezone``, else UTC."""
        return zone(self.conf.timezone) or UTC

    def now(self) -> datetime:
        """The present moment in the app's zone."""
        return datetime.now(self.timezone)

    # Tasks --------------------------------------------------------------------------------------------

    @overload
    def task(self, function: Callable[P, R], /) -> TaskOf[P, R]: ...
    @overload
    def task(
        self,
        function: Callable[Concatenate[Any, P], R],
        /,
        *,
        bind: Literal[True],
        base: type[TaskOf[..., Any]] | None = None,
        name: str | None = None,
        **options: Unpack[TaskOptions],
    ) -> TaskOf[P, R]: ...
    @overload
    def task(
        self,
        function: Callable[P, R],
        /,
        *,
        bind: Literal[False] = False,
        base: type[TaskOf[..., Any]] | None = None,
        name: str | None = None,
        **options: Unpack[TaskOptions],
    ) -> TaskOf[P, R]: ...
    @overload
    def task(
        self,
        *,
        bind: Literal[True],
        base: type[TaskOf[..., Any]] | None = None,
        name: str | None = None,
        **options: Unpack[TaskOptions],
    ) -> Callable[[Callable[Concatenate[Any, P], R]], TaskOf[P, R]]: ...
    @overload
    def task(
        self,
        *,
        bind: Literal[False] = False,
        base: type[TaskOf[..., Any]] | None = None,
        name: str | None = None,
        **options: Unpack[TaskOptions],
    ) -> Callable[[Callable[P, R]], TaskOf[P, R]]: ...
    def task(self, *function: Any, **options: Any) -> Any:
        """Make a function a task: ``@app.task`` or ``@app.task(bind=True, max_retries=5)``."""
        if not function:
            return lambda decorated: self._declare(decorated, options)
        if len(function) > 1 or not callable(function[0]):
            raise TypeError(f"@app.task decorates one function, not {function!r}")
        return self._declare(function[0], options)

    def _declare(
        self, function: Callable[..., Any], options: Mapping[str, Any]
    ) -> TaskOf[..., Any]:
        task = declare(
            function,
            options,
            base=options.get("base") or self.Task,
            name_of=self.gen_task_name,
            strict=self.strict,
        )
        task.app = self
        return self.take_in(task)

    def register_task(self, task: TaskOf[P, R] | type[TaskOf[P, R]]) -> TaskOf[P, R]:
        """Add a task that is a class of its own."""
        made = task() if isinstance(task, type) else task
        if not made.name:
            made.name = self.gen_task_name(type(made).__name__, type(made).__module__)
        made.app = self
        self.take_in(made)
        return made

    def take_in(self, task: TaskOf[..., Any]) -> TaskOf[..., Any]:
        """Make a task one of this app's; returns the one that has its name from now on."""
        check_task(task, strict=self.strict)
        registered = self.tasks.register(task)
        if registered is task:
            task.on_bound(self)
            if self._router is not None:
                annotate(self.conf.task_annotations, [task], strict=self.strict)
        return registered

    def gen_task_name(self, name: str, module: str) -> str:
        """The name of a task that is given none; override it for another scheme."""
        return f"{module_name(module, self.main)}.{name}"

    @property
    def Task(self) -> type[TaskOf[..., Any]]:  # noqa: N802 - Celery's name
        """The class of this app's tasks; may be assigned."""
        if self._task_class is None:
            self.Task = resolve(self.task_cls)
        assert self._task_class is not None
        return self._task_class

    @Task.setter
    def Task(self, task_class: type[TaskOf[..., Any]]) -> None:  # noqa: N802
        self._task_class = task_class
        for task in list(self.tasks.values()):
            self.rebase(task)

    def rebase(self, task: TaskOf[..., Any]) -> None:
        """Make a task that was given no base class an instance of this app's, which may have been
        chosen after the task was declared."""
        wanted = self._task_class
        if wanted is None or "__wrapped__" not in vars(task) or task.based:
            return
        if type(task) is not wanted and issubclass(wanted, type(task)):
            task.__class__ = wanted

    def autodiscover_tasks(
        self,
        packages: Packages | None = None,
        related_name: str | None = "tasks",
        force: bool = False,
    ) -> None:
        """Import ``<package>.tasks`` of these packages (in Django: of all installed apps) when a worker
        starts or a task is missing; with ``force``, now."""
        self.loader.autodiscover(packages, related_name, force=force)

    def import_modules(self) -> None:
        """Import every module that may define tasks."""
        self.loader.import_default_modules()
        self.finalize()

    def finalize(self, auto: bool = False) -> None:  # noqa: ARG002 - Celery's signature
        """Settle what may have been said late: the tasks' class and ``task_annotations``; a setting
        with a wrong value is refused here at the latest."""
        first = self._announce_settings()
        self.conf.check()
        _ = self.Task, self.router
        if first:
            self._announce_completion(self.conf)

    # Calls --------------------------------------------------------------------------------------------

    def send_task(  # noqa: PLR0917 - Celery's positions
        self,
        name: str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        countdown: float | None = None,
        eta: Any = None,
        task_id: str | None = None,
        producer: Any = None,  # noqa: ARG002
        **options: Any,
    ) -> ResultOf[Any]:
        """Send a task by its name, whose code need not be here."""
        args, kwargs = call_arguments(checked_name(name), args, kwargs)
        chosen = {**options, "countdown": countdown, "eta": eta}
        task = self.tasks.get(name)
        if task is not None and self.conf.task_always_eager:
            return task.apply_async(args, kwargs, task_id, **chosen)
        return self.publisher.send(name, args, kwargs, chosen, task=task, task_id=task_id)

    def signature(self, *args: Any, **kwargs: Any) -> Signature:
        """A call to be made later: ``app.signature("proj.add", args=(2, 2), countdown=10)``."""
        return signature(*args, **{"app": self, **kwargs})

    subtask = signature

    def AsyncResult(self, id: str, **kwargs: Any) -> ResultOf[Any]:  # noqa: A002, N802 - Celery's names
        """The result of an earlier call, by its id."""
        return ResultOf(id, app=self, **kwargs)

    def purge(self, queue: str) -> int:
        """Delete the ready messages of a queue; how many. Whoever waits for one of them is told."""
        return purge(self, queue)

    @property
    def current_task(self) -> TaskOf[..., Any] | None:
        """The task that runs here."""
        return current_task()

    @property
    def current_worker_task(self) -> TaskOf[..., Any] | None:
        """The task that a worker runs here, whatever it called since."""
        task: TaskOf[..., Any] | None = outermost_task()
        return None if task is None or task.request.called_directly else task

    # Stores -------------------------------------------------------------------------------------------

    @property
    def broker(self) -> Broker:
        """Where messages wait; opened when first used."""
        return self._stores.broker

    @property
    def backend(self) -> ResultBackend | None:
        """Where results are kept; None when they are disabled."""
        return self._stores.backend

    @property
    def embedded(self) -> bool:
        """Messages are kept in an SQLite file, because no broker is configured."""
        return self._stores.embedded

    def open_broker(self) -> Broker:
        """A broker of a worker's own."""
        return self._stores.open_broker()

    def open_backend(self) -> ResultBackend | None:
        """A result backend of a worker's own; None when results are disabled."""
        return self._stores.open_backend()

    def directory(self) -> Path:
        """Where the embedded file is."""
        place = self.default_directory
        return Path((place() if callable(place) else place) or Path.cwd())

    # Life ---------------------------------------------------------------------------------------------

    def set_current(self) -> None:
        """Be the app that is meant where none is named."""
        set_current_app(self)

    set_default = set_current

    def close(self) -> None:
        """Close the connections of this process."""
        self._stores.close()
        if existing_app() is self:
            set_current_app(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.main or '(no name)'}>"
