"""Queues and exchanges as settings declare them: ``Queue``, ``Exchange`` and ``Broadcast``.

They have the constructors of kombu's classes, whose objects are taken as well, by their attributes;
so are names and dicts. ``declared`` makes ``DeclaredQueue`` of every form, which is what ``Router``
works with. Nothing here is declared on a server: an exchange is a rule that senders follow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from umbel.exceptions import ImproperlyConfigured

__all__ = [
    "Broadcast",
    "DeclaredQueue",
    "Exchange",
    "Queue",
    "declared",
    "kind_of",
    "name_of",
    "worker_direct",
]

_KINDS = ("direct", "topic", "fanout")


class Exchange:
    """Leads messages to the queues that are bound to it: by equal routing keys (``direct``), by
    patterns of words with ``*`` and ``#`` (``topic``), or all to all (``fanout``)."""

    def __init__(self, name: str = "", type: str = "direct", **options: Any) -> None:  # noqa: A002 - kombu's name
        self.name = name
        self.type = type or "direct"
        self.durable = options.pop("durable", True)
        self.auto_delete = options.pop("auto_delete", False)
        self.delivery_mode = options.pop("delivery_mode", None)
        #: Words for other kinds of server; kept, not used.
        self.arguments = options.pop("arguments", None)
        self.options = options

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Exchange) and (self.name, self.type) == (other.name, other.type)

    def __hash__(self) -> int:
        return hash((self.name, self.type))

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<Exchange {self.name}({self.type})>"


class Queue:
    """A queue for ``task_queues``, or for ``queue=`` of a call."""

    def __init__(
        self,
        name: str = "",
        exchange: Any = None,
        routing_key: str = "",
        *,
        queue_arguments: Mapping[str, Any] | None = None,
        max_priority: int | None = None,
        expires: float | None = None,
        message_ttl: float | None = None,
        durable: bool = True,
        auto_delete: bool = False,
        alias: str | None = None,
        bindings: Iterable[Any] = (),
        **options: Any,
    ) -> None:
        self.name = name
        self.exchange = Exchange(exchange) if isinstance(exchange, str) else exchange
        self.routing_key = routing_key
        self.alias = alias
        self.bindings = tuple(bindings)
        self.durable = durable
        self.auto_delete = auto_delete
        #: For other kinds of server; kept, not used.
        self.queue_arguments = queue_arguments
        self.max_priority = max_priority
        self.expires = expires
        self.message_ttl = message_ttl
        self.options = options

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Queue) and (
            (self.name, self.exchange, self.routing_key, self.bindings)
            == (other.name, other.exchange, other.routing_key, other.bindings)
        )

    def __hash__(self) -> int:
        return hash(self.name)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} -> {self.exchange or ''} {self.routing_key}>"


class Broadcast(Queue):
    """Each worker that reads it gets each message, if it is at work when the message is sent."""

    def __init__(self, name: str, queue: str | None = None, **options: Any) -> None:
        exchange = options.pop("exchange", None) or Exchange(name, type="fanout")
        alias = options.pop("alias", None) or name
        options.setdefault("auto_delete", True)
        super().__init__(queue or name, exchange, alias=alias, **options)


def worker_direct(hostname: Any) -> Any:
    """The queue that only this worker reads, with the setting ``worker_direct``."""
    if not isinstance(hostname, str):
        return hostname
    return Queue(f"{hostname}.dq2", Exchange("C.dq2"), hostname)


class Bound(NamedTuple):
    """One way from an exchange to a queue."""

    exchange: str
    kind: str
    routing_key: str

    def takes(self, exchange: str, routing_key: str) -> bool:
        """Whether a message to this exchange, with this key, goes this way."""
        if self.exchange != exchange:
            return False
        if self.kind == "fanout":
            return True
        if self.kind != "topic":
            return self.routing_key == routing_key
        # Words are separated by dots; * is one word, # any number of them.
        pattern = re.escape(self.routing_key).replace(r"\*", r"[^.]+").replace(r"\#", r".*")
        pattern = pattern.replace(r"\..*", r"(?:\..*)?").replace(r".*\.", r"(?:.*\.)?")
        return re.fullmatch(pattern, routing_key) is not None


class DeclaredQueue(NamedTuple):
    """A queue as ``task_queues`` declares it."""

    name: str
    exchange: str = ""
    exchange_type: str = "direct"
    routing_key: str = ""
    more: tuple[Bound, ...] = ()
    alias: str = ""
    #: Each node has one of its own.
    broadcast: bool = False

    @property
    def bindings(self) -> tuple[Bound, ...]:
        """Every way to it from an exchange with a name."""
        first = Bound(self.exchange, self.exchange_type, self.routing_key)
        return (first, *self.more) if self.exchange else self.more

    def takes(self, exchange: str, routing_key: str) -> bool:
        """Whether a message to this exchange, with this key, comes here."""
        return any(bound.takes(exchange, routing_key) for bound in self.bindings)

    def describe(self) -> Queue:
        """The same as an object."""
        return Queue(
            self.name,
            Exchange(self.exchange, self.exchange_type),
            self.routing_key,
            alias=self.alias or None,
        )


def declared(queues: Any) -> dict[str, DeclaredQueue]:
    """The queues of ``task_queues``, by name."""
    if not queues:
        return {}
    items: Iterable[tuple[Any, Any]]
    items = queues.items() if isinstance(queues, Mapping) else ((item, item) for item in queues)
    found = (_queue(name, details) for name, details in items)
    return {queue.name: queue for queue in found}


def _queue(name: Any, details: Any) -> DeclaredQueue:
    if isinstance(details, str) or details is None:
        return DeclaredQueue(name_of(name), routing_key=name_of(name))
    mapped = isinstance(details, Mapping)
    given = details.get if mapped else _attributes(details)
    if mapped:
        key = given("routing_key") or given("binding_key")
        name = name if isinstance(name, str) else given("name")
    else:
        key, name = details.routing_key, details.name
    exchange = given("exchange")
    kind = kind_of(given("exchange_type") or getattr(exchange, "type", None), name)
    alias = given("alias") or ""
    broadcast = any(each.__name__ == "Broadcast" for each in type(details).__mro__)
    if broadcast:
        name, alias, kind = alias or name_of(exchange), "", "fanout"
    name = name_of(name)
    return DeclaredQueue(
        name,
        name_of(exchange),
        kind,
        str(key or ("" if kind == "fanout" else name)),
        tuple(_binding(each, name) for each in given("bindings") or ()),
        alias,
        broadcast,
    )


def _attributes(details: Any) -> Callable[[str], Any]:
    return lambda attribute: getattr(details, attribute, None)


def _binding(binding: Any, queue: str) -> Bound:
    """One of ``bindings``: a dict, or an object such as kombu's ``binding``."""
    if isinstance(binding, Mapping):
        exchange, key, kind = (
            binding.get("exchange"), binding.get("routing_key"), binding.get("exchange_type")
        )  # fmt: skip
    else:
        exchange, key = getattr(binding, "exchange", None), getattr(binding, "routing_key", None)
        kind = None
    if not exchange:
        raise ImproperlyConfigured(f"task_queues: a binding of {queue!r} names no exchange")
    return Bound(
        name_of(exchange), kind_of(kind or getattr(exchange, "type", None), queue), key or ""
    )


def kind_of(kind: Any, queue: Any) -> str:
    """The type of an exchange, which has to be one that there is."""
    if kind and kind not in _KINDS:
        raise ImproperlyConfigured(
            f"The exchange of queue {name_of(queue)!r} is of type {kind!r}; there are "
            f"{', '.join(_KINDS)}"
        )
    return str(kind or "direct")


def name_of(value: Any) -> str:
    """The name of a queue or exchange given as text, as an object with a name, or not at all."""
    if value is None:
        return ""
    name = value if isinstance(value, str) else getattr(value, "name", None)
    if name is None and isinstance(value, Mapping):
        name = value.get("name")
    if not isinstance(name, str):
        raise ImproperlyConfigured(f"{value!r} is not the name of a queue or exchange")
    return name
