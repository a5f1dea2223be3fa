"""What receivers of ``task_received`` are told of a message: the names of Celery's ``Request``.

Nothing is decoded before it is asked for. While a task runs, ``task.request`` is another object.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from umbel.exceptions import DecodeError, EncodeError, InvalidTaskError
from umbel.message.message import Message
from umbel.message.protocol import decode_body, parse_moment
from umbel.message.representation import represent
from umbel.message.serializers import encode

if TYPE_CHECKING:
    from umbel.app.task import Task

__all__ = ["ReceivedRequest"]

#: Bytes of arguments above which only their text is shown.
_LARGE = 100_000


class ReceivedRequest:
    """One message whose task is known here. Headers of the message are attributes, too."""

    def __init__(
        self, message: Message, task: Task[..., Any] | None, hostname: str, accept: Collection[str]
    ) -> None:
        self.message = message
        self.task = task
        self.hostname = hostname
        self.id = self.task_id = message.id
        self.name = self.task_name = self.type = message.task
        self.body = message.body
        #: The headers of the message.
        self.request_dict: Mapping[str, Any] = message.headers
        self.content_type = message.content_type
        self.content_encoding = message.content_encoding
        self.correlation_id = message.correlation_id
        self.reply_to = message.reply_to
        self.delivery_info = {
            "exchange": message.exchange,
            "routing_key": message.routing_key or message.queue,
            "priority": message.priority,
            "redelivered": bool(message.headers.get("redelivered") or message.deliveries),
        }
        self._accept = accept
        #: Of a job that runs: when it began, in which process, and whether its loan has ended.
        self.time_start: float | None = None
        self.worker_pid: int | None = None
        self.acknowledged = False

    def __getattr__(self, name: str) -> Any:
        headers = self.__dict__.get("request_dict", {})
        if name not in headers:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return headers[name]

    @property
    def args(self) -> list[Any]:
        """Decoded anew each time. Raises what decoding raises."""
        return decode_body(self.message, self._accept)[0]

    @property
    def kwargs(self) -> dict[str, Any]:
        """As ``args``."""
        return decode_body(self.message, self._accept)[1]

    @property
    def eta(self) -> datetime | None:
        """When it was to run."""
        return _moment(self.request_dict.get("eta"))

    @property
    def expires(self) -> datetime | None:
        """After this it does not run."""
        return _moment(self.request_dict.get("expires"))

    def info(self, safe: bool = False) -> dict[str, Any]:
        """What monitors show of it. Arguments as text when ``safe``, or where the sender masked
        something."""
        headers = self.request_dict
        args, kwargs = headers.get("argsrepr"), headers.get("kwargsrepr")
        if not safe:
            args, kwargs = self._shown(args, kwargs)
        info = {
            "id": self.id,
            "name": self.name,
            "args": args,
            "kwargs": kwargs,
            "type": self.name,
            "hostname": self.hostname,
            "time_start": self.time_start,
            "acknowledged": self.acknowledged,
            "delivery_info": self.delivery_info,
            "worker_pid": self.worker_pid,
        }
        if headers.get("stamps"):
            info["stamps"] = headers["stamps"]
        return info

    def _shown(self, argsrepr: Any, kwargsrepr: Any) -> tuple[Any, Any]:
        """The arguments, unless their text hides something of them, they are large, or JSON, which
        replies are, has no form for them."""
        if len(self.body) > _LARGE:
            return argsrepr, kwargsrepr
        try:
            args, kwargs, _embed = decode_body(self.message, self._accept)
            encode((args, kwargs))
        except (DecodeError, EncodeError, InvalidTaskError):
            return argsrepr, kwargsrepr
        texts = ((represent(list(args)), represent(tuple(args)), None), (represent(kwargs), None))
        if argsrepr not in texts[0] or kwargsrepr not in texts[1]:
            return argsrepr, kwargsrepr
        return args, kwargs

    def __repr__(self) -> str:
        return f"<ReceivedRequest: {self.name}[{self.id}]>"


def _moment(text: Any) -> datetime | None:
    return datetime.fromtimestamp(parse_moment(text), UTC) if text else None
