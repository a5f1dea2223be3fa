"""``Signature``: a call of a task that has not been made yet, as a value that can be kept and sent.

It is a dict of the form in which Celery writes signatures, so that it travels as it is: as an argument,
as a callback (``link``), as an errback (``link_error``). Arguments that are missing are given when
the call is made. Making the call is the task's work, or the app's where the task is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self, TypeAlias, TypeVar

from umbel.canvas.links import as_list, check_link
from umbel.current import current_app
from umbel.message.headers import make_id
from umbel.message.representation import represent

if TYPE_CHECKING:
    from umbel.app.app import Umbel
    from umbel.app.task import Task
    from umbel.result.async_result import AsyncResult

__all__ = ["Signature", "maybe_signature", "signature"]

_Class: TypeAlias = "type[Signature]"
S = TypeVar("S", bound=_Class)

#: Options that hold signatures.
_LINKS = ("link", "link_error")
#: What a signature says about these, no caller says otherwise.
_SETTLED = frozenset({"group_id", "stamped_headers"})
_SEQUENCES = (list, tuple)


class Signature(dict[str, Any]):
    """A call: ``add.s(2)`` is ``Signature("proj.add", args=(2,))``. ``task`` is a task, the name of one, or
    a dict that says everything. Further keyword arguments are options of the call."""

    #: Classes of signatures that are more than a call, by their ``subtask_type``.
    TYPES: ClassVar[dict[str, _Class]] = {}

    _app: Umbel | None = None
    _type: Task[..., Any] | None = None

    def __init__(  # noqa: PLR0917 - Celery's positions
        self,
        task: Any = None,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        type: Task[..., Any] | None = None,  # noqa: A002 - Celery's name
        subtask_type: str | None = None,
        immutable: bool = False,
        app: Umbel | None = None,
        **more: Any,
    ) -> None:
        self._app = app
        if isinstance(task, dict):
            super().__init__(task)
            return
        self._type = type
        if task is not None and not isinstance(task, str):
            self._type, task = task, _name_of(task)
        super().__init__(
            task=task,
            args=_checked_args(task, args),
            kwargs=dict(_checked_kwargs(task, kwargs)),
            options={**(options or {}), **more},
            subtask_type=subtask_type,
            immutable=immutable,
        )

    @classmethod
    def register_type(cls, name: str | None = None) -> Callable[[S], S]:
        """For a class of signatures with a ``subtask_type`` of its own."""

        def register(subclass: S) -> S:
            cls.TYPES[name or subclass.__name__] = subclass
            return subclass

        return register

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], app: Umbel | None = None) -> Signature:
        """The signature that this dict describes, such as one that has travelled."""
        kind = cls.TYPES.get(d.get("subtask_type") or "")
        if kind is not None and kind is not cls:
            return kind.from_dict(d, app=app)
        return Signature(dict(d), app=app)

    # Making the call --------------------------------------------------------------------------------

    def __call__(self, /, *partial_args: Any, **partial_kwargs: Any) -> Any:
        """Call the function here and now."""
        args, kwargs, _ = self._merge(partial_args, partial_kwargs, None)
        return self.type(*args, **kwargs)

    def delay(self, /, *partial_args: Any, **partial_kwargs: Any) -> AsyncResult[Any]:
        """Send it, with these arguments before its own."""
        return self.apply_async(partial_args, partial_kwargs)

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        route_name: str | None = None,
        **options: Any,
    ) -> AsyncResult[Any]:
        """Send it, with these arguments before its own, and these options over its own."""
        if self.subtask_type:
            raise TypeError(
                f"{self.task}: a {self.subtask_type} cannot be sent by this version of Umbel"
            )
        args, kwargs, said = self._merge(args, kwargs, {**options, "route_name": route_name})
        known = self._known()
        if known is not None:
            return known.apply_async(args, kwargs, **said)
        return self.app.send_task(self.task, args, kwargs, **said)

    def apply(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> AsyncResult[Any]:
        """Run it here, as a worker would."""
        args, kwargs, said = self._merge(args, kwargs, options)
        return self.type.apply(args, kwargs, **said)

    def __invert__(self) -> Any:
        """``~sig``: send it and wait for its result."""
        return self.apply_async().get()

    # Changing it ------------------------------------------------------------------------------------

    def clone(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Self:
        """Another one with these arguments before its own. Changing the one leaves the other."""
        merged_args, merged_kwargs, said = self._merge(args, kwargs, options)
        return self._another(merged_args, merged_kwargs, said)

    partial = clone

    def replace(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Self:
        """Another one with these in place of its own."""
        return self._another(
            self.args if args is None else args,
            self.kwargs if kwargs is None else kwargs,
            self.options if options is None else options,
        )

    def set(self, immutable: bool | None = None, **options: Any) -> Self:
        """Give it options: ``add.s(2).set(countdown=10)``. Returns itself."""
        if immutable is not None:
            self.set_immutable(immutable)
        self.options.update(options)
        return self

    def set_immutable(self, immutable: bool) -> None:
        """Whether it takes no arguments but its own."""
        self["immutable"] = immutable

    def link(self, callback: Any) -> Any:
        """Send this one, too, when the task has succeeded; it gets the result as its first argument.
        Returns the callback."""
        return self._add("link", callback)

    def link_error(self, errback: Any) -> Any:
        """Call this one when the task has failed. Returns the errback."""
        return self._add("link_error", errback)

    def on_error(self, errback: Any) -> Self:
        """``link_error``, but returns the signature itself."""
        self.link_error(errback)
        return self

    def flatten_links(self) -> list[Signature]:
        """It, its callbacks, and theirs."""
        links = as_list(self.options.get("link"))
        return [self, *(one for link in links for one in _signed(link, self).flatten_links())]

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> AsyncResult[Any]:
        """Settle the id of the call before it is made; the result to ask."""
        options = self.options
        task_id = options.setdefault("task_id", _id or make_id())
        said = {"root_id": root_id, "parent_id": parent_id, "chord": chord}
        options.update((name, value) for name, value in said.items() if value)
        if group_id:
            options.setdefault("group_id", group_id)
        if group_index is not None:
            options["group_index"] = group_index
        return self.AsyncResult(task_id)

    _freeze = freeze

    # What it says -----------------------------------------------------------------------------------

    @property
    def app(self) -> Umbel:
        """The app that the call is made with; by default the current one."""
        app: Umbel = self._app or (self._type.app if self._type is not None else current_app())
        return app

    @property
    def type(self) -> Task[..., Any]:
        """The task. ``NotRegistered`` where it is not known."""
        return self._type or self.app.tasks[self["task"]]

    @property
    def task(self) -> str:
        """The name of the task."""
        name: str = self["task"]
        return name

    name = task

    @property
    def args(self) -> Sequence[Any]:
        """Its positional arguments."""
        args: Sequence[Any] = self.get("args") or ()
        return args

    @property
    def kwargs(self) -> dict[str, Any]:
        """Its keyword arguments."""
        kwargs: dict[str, Any] = self.setdefault("kwargs", {})
        return kwargs

    @property
    def options(self) -> dict[str, Any]:
        """Options of the call, as ``apply_async`` takes them."""
        options: dict[str, Any] = self.setdefault("options", {})
        return options

    @property
    def subtask_type(self) -> str | None:
        """None for a plain call."""
        return self.get("subtask_type")

    @property
    def immutable(self) -> bool:
        """Whether it takes no arguments but its own."""
        return bool(self.get("immutable"))

    @property
    def id(self) -> str | None:
        """The id of the call, where it is settled."""
        return self.options.get("task_id")

    @property
    def root_id(self) -> str | None:
        """The first task of its workflow, where that is settled."""
        return self.options.get("root_id")

    @property
    def parent_id(self) -> str | None:
        """The task that makes the call, where that is settled."""
        return self.options.get("parent_id")

    @property
    def AsyncResult(self) -> Callable[[str], AsyncResult[Any]]:  # noqa: N802 - Celery's name
        """Makes the result of an id."""
        known = self._known()
        return self.app.AsyncResult if known is None else known.AsyncResult

    def reprcall(self, *args: Any, **kwargs: Any) -> str:
        """The call as text: ``proj.add(2, 3)``."""
        args, kwargs, _ = self._merge(args, kwargs, None, force=True)
        parts = [represent(one) for one in args]
        parts += [f"{name}={represent(value)}" for name, value in kwargs.items()]
        return f"{self.get('task')}({', '.join(parts)})"

    # Details ----------------------------------------------------------------------------------------

    def _known(self) -> Task[..., Any] | None:
        return self._type or self.app.tasks.get(self["task"])

    def _merge(
        self,
        args: Sequence[Any] | None,
        kwargs: Mapping[str, Any] | None,
        options: Mapping[str, Any] | None,
        *,
        force: bool = False,
    ) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
        said = dict(self.options)
        for name, value in (options or {}).items():
            if value is not None and not (name in _SETTLED and name in said):
                said[name] = value
        if self.immutable and not force:
            return tuple(self.args), dict(self.kwargs), said
        return (*(args or ()), *self.args), {**self.kwargs, **(kwargs or {})}, said

    def _another(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Self:
        said = {
            **self,
            "args": tuple(args),
            "kwargs": dict(kwargs),
            "options": {
                name: [_copied(link) for link in as_list(value)] if name in _LINKS else value
                for name, value in options.items()
            },
        }
        made = type(self)(said, app=self._app)
        made._type = self._type  # noqa: SLF001 - one of ours
        return made

    def _add(self, option: str, link: Any) -> Any:
        check_link(link, of=f"{self.get('task')}: {option}")
        links = self.options[option] = as_list(self.options.get(option))
        if link not in links:
            links.append(link)
        return link

    def __or__(self, _other: object) -> NoReturn:
        # dict has a meaning of its own for it, which nobody means here.
        raise TypeError("chains (a | b) are not supported by this version of Umbel; use link=")

    __ior__ = __ror__ = __or__

    def __deepcopy__(self, _memo: object) -> Self:
        return self.clone()

    __copy__ = copy = clone

    def __json__(self) -> dict[str, Any]:
        return dict(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return signature, (dict(self),)

    def __repr__(self) -> str:
        return self.reprcall()


def signature(varies: Any, *args: Any, **kwargs: Any) -> Signature:
    """A signature of a task, of a name (``signature("proj.add", args=(2, 2), countdown=10)``), or of a dict
    that was one. What is a signature already is copied."""
    if isinstance(varies, Signature):
        return varies.clone()
    if isinstance(varies, dict):
        return Signature.from_dict(varies, app=kwargs.get("app"))
    return Signature(varies, *args, **kwargs)


def maybe_signature(
    d: Mapping[str, Any] | None, app: Umbel | None = None, clone: bool = False
) -> Signature | None:
    """The signature that a dict describes, or the one that it is; None for None."""
    if isinstance(d, Signature):
        return d.clone() if clone else d
    return None if d is None else Signature.from_dict(d, app=app)


def _signed(link: Any, of: Signature) -> Signature:
    return link if isinstance(link, Signature) else Signature.from_dict(link, app=of._app)  # noqa: SLF001 - of this file


def _copied(link: Any) -> Any:
    return link.clone() if isinstance(link, Signature) else link


def _name_of(task: Any) -> str:
    name = getattr(task, "name", None)
    if isinstance(name, str):
        return name
    raise TypeError(f"a signature is made of a task, its name or a dict, not {represent(task, 80)}")


def _checked_args(task: str | None, args: Any) -> tuple[Any, ...]:
    if args is None or isinstance(args, _SEQUENCES):
        return tuple(args or ())
    raise TypeError(f"{task}: args must be a list or tuple, not {type(args).__name__}")


def _checked_kwargs(task: str | None, kwargs: Any) -> Mapping[str, Any]:
    if kwargs is None or isinstance(kwargs, Mapping):
        return kwargs or {}
    raise TypeError(f"{task}: kwargs must be a mapping, not {type(kwargs).__name__}")
