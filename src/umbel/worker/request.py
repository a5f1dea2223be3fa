"""What receivers of ``task_received`` are told of a message: the names of Celery's ``Request``.

Nothing is decoded before it is asked for. While a task runs, ``task.request`` is another object.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from umbel.message.message import Message
from umbel.message.protocol import decode_body, parse_moment

if TYPE_CHECKING:
    from umbel.app.task import Task

__all__ = ["ReceivedRequest"]


class ReceivedRequest:
    """One message whose task is known here. Headers of the message are attributes, too."""

    def __init__(
        self, message: Message, task: Task[..., Any], hostname: str, accept: Collection[str]
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

    def info(self, safe: bool = False) -> dict[str, Any]:  # noqa: ARG002 - Celery's signature
        """What monitors show of it."""
        headers = self.request_dict
        return {
            "id": self.id,
            "name": self.name,
            "args": headers.get("argsrepr"),
            "kwargs": headers.get("kwargsrepr"),
            "type": self.name,
            "hostname": self.hostname,
            "time_start": None,
            "acknowledged": False,
            "delivery_info": self.delivery_info,
            "worker_pid": None,
        }

    def __repr__(self) -> str:
        return f"<ReceivedRequest: {self.name}[{self.id}]>"


def _moment(text: Any) -> datetime | None:
    return datetime.fromtimestamp(parse_moment(text), UTC) if text else None
