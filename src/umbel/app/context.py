"""What a task knows about the call it is working on: ``task.request``.

The worker makes one ``Context`` from each message; a call in the same process makes an empty one.
Every name is an ordinary attribute that tasks may write. What costs something to build (the
delivery information, the user's own headers) is built when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

from umbel.current import pop_context, push_context
from umbel.message.body import NO_EMBED, decode_body
from umbel.message.message import DELIVERIES, Message

if TYPE_CHECKING:
    from umbel.app.retrying import NextCall
    from umbel.app.task import Task
    from umbel.result.async_result import AsyncResult

__all__ = ["Context", "Requested"]

T = TypeVar("T")


class Lazy(Generic[T]):
    """An attribute computed when first read; from then on, or once written, an ordinary one."""

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self.compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self.name = name

    @overload
    def __get__(self, context: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, context: object, owner: type[Any]) -> T: ...
    def __get__(self, context: object | None, owner: type[Any]) -> T | Self:
        if context is None:
            return self
        value: T = self.compute(context)
        context.__dict__[self.name] = value
        return value

    if TYPE_CHECKING:

        def __set__(self, context: object, value: T) -> None: ...


#: Wire headers that are neither attributes of a context nor the user's own.
_OTHER_HEADERS = frozenset(
    {"argsrepr", "compression", "kwargsrepr", "lang", "redelivered", "task", DELIVERIES}
)
#: Headers that RabbitMQ adds when it dead-letters a message; sent again they would look like a cycle.
_DEATH_HEADERS = (
    "x-death",
    "x-first-death-exchange",
    "x-first-death-queue",
    "x-first-death-reason",
)


#: Attributes that no header may bring along.
_OURS = frozenset(
    {"children", "called_directly", "delivery_info", "embed", "entered", "headers", "is_eager"}
    | {"callbacks", "chain", "chord", "errbacks", "message"}
    | {"next_call", "next_message", "properties", "retry_limit"}
)


class Context:
    """The call that a task is working on. Unknown headers of the message are attributes, too."""

    #: The task id; None when the function was called directly.
    id: str | None = None
    task: str | None = None
    args: Sequence[Any] | None = None
    kwargs: Mapping[str, Any] | None = None
    #: How many retries came before this run.
    retries: int = 0
    eta: str | None = None
    expires: str | None = None
    #: The node name of the worker.
    hostname: str | None = None
    logfile: str | None = None
    loglevel: int | None = None
    #: True when the function was called like any other function.
    called_directly: bool = True
    #: True when ``apply`` or ``task_always_eager`` runs it in the caller.
    is_eager: bool = False
    root_id: str | None = None
    parent_id: str | None = None
    origin: str | None = None
    shadow: str | None = None
    group: str | None = None
    group_index: int | None = None
    #: ``[hard, soft]`` seconds, as they travel.
    timelimit: Sequence[float | None] | None = None
    ignore_result: bool = False
    utc: bool | None = True
    replaced_task_nesting: int = 0
    stamped_headers: Sequence[str] | None = None
    stamps: Mapping[str, Any] | None = None
    #: What follows it, as it came in the body of the message.
    embed: Mapping[str, Any] | None = None
    #: The message it came in; None when it did not travel.
    message: Message | None = None
    #: The next run, prepared by ``Task.retry`` and sent in the step that ends this one.
    next_message: Message | None = None
    #: Its arguments and options, for a run in the caller.
    next_call: NextCall | None = None
    #: What ``Task.retry`` was last told about ``max_retries``; decides over automatic retries, too.
    retry_limit: int | None = None
    #: The function has been entered: what calls the task from here on is a call within the call.
    entered: bool = False

    def __init__(self, *values: Mapping[str, Any], **attributes: Any) -> None:
        self.__dict__.update(*values, **attributes)

    @classmethod
    def from_message(
        cls, message: Message, args: Sequence[Any], kwargs: Mapping[str, Any], **extra: Any
    ) -> Self:
        """The context of a message that arrived; ``args`` and ``kwargs`` are its decoded body."""
        context = cls.__new__(cls)
        headers = message.headers
        if not _OURS.isdisjoint(headers):
            # What we keep here ourselves cannot be set by whoever sends a message.
            headers = {name: value for name, value in headers.items() if name not in _OURS}
        context.__dict__.update(
            headers,
            message=message,
            args=args,
            kwargs=kwargs,
            called_directly=False,
            **extra,
        )
        return context

    @Lazy
    def callbacks(self) -> Any:
        """Signatures that are sent when it succeeds, as they travel."""
        return (self.embed or {}).get("callbacks")

    @Lazy
    def errbacks(self) -> Any:
        """Signatures that are called when it fails, as they travel."""
        return (self.embed or {}).get("errbacks")

    @Lazy
    def chain(self) -> Any:
        """The steps that follow it, the next one last."""
        return (self.embed or {}).get("chain")

    @Lazy
    def chord(self) -> Any:
        """What follows when all of its group have ended."""
        return (self.embed or {}).get("chord")

    def following(self) -> dict[str, Any]:
        """All of these, for the body of a message that takes the place of this one."""
        if self.embed is None and self.message is not None:
            self.embed = decode_body(self.message, (self.message.content_type,))[2]
        return {**(self.embed or {}), **{name: getattr(self, name) for name in NO_EMBED}}

    @Lazy
    def taskset(self) -> str | None:
        """Old name of ``group``."""
        return self.group

    @Lazy
    def children(self) -> list[AsyncResult[Any]]:
        """Results of the tasks that this run has sent."""
        return []

    @Lazy
    def headers(self) -> dict[str, Any] | None:
        """The sender's own headers."""
        found = {name: value for name, value in self.__dict__.items() if name not in _KNOWN}
        return found or None

    @Lazy
    def delivery_info(self) -> dict[str, Any] | None:
        """How the message came: exchange, routing_key, priority, redelivered."""
        message = self.message
        if message is None:
            return None
        return {
            "exchange": message.exchange,
            "routing_key": message.routing_key or message.queue,
            "priority": message.priority,
            "redelivered": bool(message.headers.get("redelivered") or message.deliveries),
        }

    @Lazy
    def properties(self) -> dict[str, Any] | None:
        """The message's properties; unknown call options are among them."""
        message = self.message
        if message is None:
            return None
        return {
            "content_type": message.content_type,
            "content_encoding": message.content_encoding,
            "correlation_id": self.correlation_id,
            "reply_to": message.reply_to,
            "delivery_mode": message.delivery_mode,
            "delivery_tag": message.delivery_tag,
            "priority": message.priority,
            **message.properties,
        }

    @Lazy
    def correlation_id(self) -> str | None:
        """Usually the task id."""
        return (self.message.correlation_id if self.message is not None else None) or self.id

    @Lazy
    def reply_to(self) -> str | None:
        """Where a reply was asked for."""
        return self.message.reply_to if self.message is not None else None

    @Lazy
    def time_limit(self) -> float | None:
        """Seconds after which the process is ended, where the call said so."""
        return self.timelimit[0] if self.timelimit else None

    @Lazy
    def soft_time_limit(self) -> float | None:
        """Seconds until SoftTimeLimitExceeded is raised, where the call said so."""
        return self.timelimit[1] if self.timelimit else None

    def get(self, key: str, default: Any = None) -> Any:
        """An attribute, or ``default`` where there is none."""
        return getattr(self, key, default)

    def update(self, *values: Mapping[str, Any], **attributes: Any) -> None:
        """Set many attributes."""
        self.__dict__.update(*values, **attributes)

    def clear(self) -> None:
        """Forget every attribute."""
        self.__dict__.clear()

    def as_execution_options(self) -> dict[str, Any]:
        """The options of ``apply_async`` that would make a call like this one again."""
        headers = dict(self.headers or {})
        for name in _DEATH_HEADERS:
            headers.pop(name, None)
        options: dict[str, Any] = {
            "task_id": self.id,
            "root_id": self.root_id,
            "parent_id": self.parent_id,
            "group_id": self.group,
            "group_index": self.group_index,
            "shadow": self.shadow,
            "chord": self.chord,
            "chain": self.chain,
            "link": self.callbacks,
            "link_error": self.errbacks,
            "expires": self.expires,
            "time_limit": self.time_limit,
            "soft_time_limit": self.soft_time_limit,
            "headers": headers,
            "retries": self.retries,
            "reply_to": self.reply_to,
            "replaced_task_nesting": self.replaced_task_nesting,
            "origin": self.origin,
        }
        if self.stamped_headers and self.stamps is not None:
            options["stamped_headers"] = self.stamped_headers
            options["stamps"] = self.stamps
        return options

    def __repr__(self) -> str:
        return f"<Context: {self.task}[{self.id}] retries={self.retries}>"


class Requested:
    """While it is entered, ``task.request`` is this context and ``current_task`` is the task."""

    __slots__ = ("context", "task")

    def __init__(self, task: Task[..., Any], context: Context) -> None:
        self.task = task
        self.context = context

    def __enter__(self) -> Context:
        push_context(self.task, self.context)
        return self.context

    def __exit__(self, *_error: object) -> None:
        pop_context()


_KNOWN = _OTHER_HEADERS.union(name for name in vars(Context) if not name.startswith("__"))
