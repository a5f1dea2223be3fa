"""Which queue a call goes to: options of the call, then of the task, then ``task_routes``, then the default.

``Router`` is made from settings once and asked for every message; what ``task_routes`` says about a
name is remembered, except where a function decides. Queues and routes are taken in every form that
Celery takes: names, dicts, lists, and objects with a ``name`` such as kombu's ``Queue``.
"""

from __future__ import annotations

import fnmatch
import logging
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from umbel.app.option_kinds import check_task_values
from umbel.app.options import CALL_OPTIONS, check_names
from umbel.app.queues import DeclaredQueue, Queue, declared, kind_of, name_of
from umbel.brokers.base import Binding
from umbel.exceptions import ImproperlyConfigured, QueueNotFound
from umbel.spelling import nearest

if TYPE_CHECKING:
    from umbel.app.config import Config

__all__ = ["DeclaredQueue", "Destination", "Router", "read_router"]

logger = logging.getLogger("umbel.app.routing")

Route = Mapping[str, Any]
_NOWHERE: Route = {}
_REMEMBERED = 10_000


class Destination(NamedTuple):
    """Where a message goes. ``exchange`` is empty where the queue alone decides."""

    queue: str
    exchange: str = ""
    routing_key: str | None = None
    #: Where it is more than ``queue``, or a broadcast: all the declared queues that it goes to.
    targets: tuple[str, ...] = ()


def read_router(conf: Config, *, strict: bool) -> Router:
    """What these settings say about queues and routes."""
    return Router(
        routes=conf.task_routes,
        queues=conf.task_queues,
        default=conf.task_default_queue,
        exchange=conf.task_default_exchange,
        exchange_type=conf.task_default_exchange_type,
        routing_key=conf.task_default_routing_key,
        create_missing=conf.task_create_missing_queues,
        strict=strict,
    )


class Router:
    """Decides about queues for one configuration."""

    def __init__(
        self,
        *,
        routes: Any,
        queues: Any,
        default: str = "celery",
        exchange: str | None = None,
        exchange_type: str = "direct",
        routing_key: str | None = None,
        create_missing: bool = True,
        strict: bool = True,
    ) -> None:
        self.queues = declared(queues)
        self.default = default
        self.create_missing = create_missing
        if default not in self.queues:
            if self.queues:
                logger.warning(
                    "task_queues does not declare the default queue %r (task_default_queue); it is "
                    "added, because tasks without a route go there",
                    default,
                )
            self.queues[default] = DeclaredQueue(
                default,
                exchange or default,
                kind_of(exchange_type, default),
                routing_key or default,
            )
        self.aliases = {queue.alias: queue.name for queue in self.queues.values() if queue.alias}
        #: Queues that each node has one of its own of.
        self.broadcasts = {queue.name for queue in self.queues.values() if queue.broadcast}
        self._exact, self._rules = _Reader(strict=strict).read(routes)
        #: Functions decide, so that the arguments of each call count.
        self.dynamic = any(rule.dynamic for rule in self._rules)
        #: ``task_routes`` says something about some task.
        self.routed = bool(self._exact or self._rules)
        self._known: dict[str, Route] = {}

    def rule(self, name: str, args: Any, kwargs: Any, options: Route, task: Any) -> Route:
        """What ``task_routes`` says about this task: queue, priority and other options."""
        if not self._rules:
            return self._exact.get(name, _NOWHERE)
        found = self._known.get(name)
        if found is None:
            found = self._search(name, args, kwargs, options, task)
            if not self.dynamic and len(self._known) < _REMEMBERED:
                self._known[name] = found
        return found

    def destination(
        self, queue: Any, exchange: Any, routing_key: str | None, exchange_type: str | None = None
    ) -> Destination:
        """The queue, by itself or through the exchange and routing key that it is declared with."""
        name = name_of(queue)
        name = self.aliases.get(name, name)
        exchange = name_of(exchange)
        if exchange and (routing_key or self._is_fanout(exchange, exchange_type)):
            return self._through(exchange, routing_key or "", name)
        known = self.queues.get(name or self.default)
        if known is None:
            if isinstance(queue, str):
                self.check(name)
            return Destination(name)
        if known.broadcast or known.exchange_type == "fanout":
            return self._through(known.exchange, routing_key or known.routing_key, known.name)
        if routing_key and known.exchange_type == "topic" and known.exchange:
            return self._through(known.exchange, routing_key, "")
        return Destination(known.name)

    def check(self, name: str) -> None:
        """Refuse a queue that nobody declared, where that is not allowed."""
        if name not in self.queues and name not in self.aliases and not self.create_missing:
            raise QueueNotFound(
                f"task_queues does not declare {name!r}{nearest(name, self.queues)} "
                "(task_create_missing_queues is off)"
            )

    def bindings(self, names: Any = None) -> list[Binding]:
        """How exchanges lead to these queues, or to all; broadcasts are found in another way."""
        return [
            Binding(bound.exchange, bound.kind, bound.routing_key, queue.name)
            for queue in self.queues.values()
            if not queue.broadcast and (names is None or queue.name in names)
            for bound in queue.bindings
        ]

    def route(
        self,
        options: Route,
        name: str,
        args: Any = (),
        kwargs: Any = None,
        task_type: Any = None,
    ) -> dict[str, Any]:
        """The options of this call with those of its route, and ``queue`` as an object."""
        said = {
            **self.rule(name, args, kwargs or {}, options, task_type),
            **{option: value for option, value in options.items() if value is not None},
        }
        found = self.destination(
            said.get("queue"),
            said.get("exchange"),
            said.get("routing_key"),
            said.get("exchange_type"),
        ).queue
        return {**said, "queue": self.queue(found)}

    def queue(self, name: str) -> Queue:
        """This queue as an object, as it is declared or as it would be made."""
        known = self.queues.get(self.aliases.get(name, name))
        return (known or DeclaredQueue(name, name, "direct", name)).describe()

    def _is_fanout(self, exchange: str, exchange_type: str | None) -> bool:
        return exchange_type == "fanout" or any(
            bound.exchange == exchange and bound.kind == "fanout"
            for queue in self.queues.values()
            for bound in queue.bindings
        )

    def _through(self, exchange: str, routing_key: str, name: str) -> Destination:
        """To every queue that the exchange leads to; to the named queue alone if it is none of them."""
        bound = tuple(
            queue.name for queue in self.queues.values() if queue.takes(exchange, routing_key)
        )
        if name and name not in bound:
            return Destination(name, exchange, routing_key)
        if not bound:
            raise QueueNotFound(
                f"no queue in task_queues is declared with exchange {exchange!r} and a routing key "
                f"that takes {routing_key!r}"
            )
        several = len(bound) > 1 or bound[0] in self.broadcasts
        return Destination(name or bound[0], exchange, routing_key, bound if several else ())

    def _search(self, name: str, args: Any, kwargs: Any, options: Route, task: Any) -> Route:
        for rule in self._rules:
            route = rule(name, args, kwargs, options, task)
            if route is not None:
                return route
        return _NOWHERE


# Rules --------------------------------------------------------------------------------------------


class _Reader:
    """Reads ``task_routes``. ``strict``: a route with an option that no call has is refused."""

    def __init__(self, *, strict: bool) -> None:
        self.strict = strict

    def read(self, routes: Any) -> tuple[dict[str, Route], list[_Pattern | _Table | _Function]]:
        """A table of exact names, or, where that is not enough, rules in order."""
        if not routes:
            return {}, []
        if isinstance(routes, Mapping) and not any(_is_pattern(name) for name in routes):
            return {name: self.route(name, route) for name, route in routes.items()}, []
        if isinstance(routes, Mapping | str) or callable(routes):
            return {}, self._rules(routes)
        return {}, [rule for item in routes for rule in self._rules(item)]

    def _rules(self, item: Any) -> list[_Pattern | _Table | _Function]:
        if isinstance(item, Mapping) or (isinstance(item, list | tuple) and _is_pairs(item)):
            pairs = [
                (name, self.route(name, route))
                for name, route in (item.items() if isinstance(item, Mapping) else item)
            ]
            table = {name: route for name, route in pairs if not _is_pattern(name)}
            patterns = [_Pattern(name, route) for name, route in pairs if _is_pattern(name)]
            return [_Table(table), *patterns]
        return [_Function(item, self)]

    def route(self, name: Any, route: Any) -> Route:
        """The options that a route gives to calls of ``name``."""
        if route is None:
            return _NOWHERE
        if not isinstance(route, Mapping):
            return {"queue": name_of(route)}
        shown = name if isinstance(name, str) else getattr(name, "pattern", name)
        of = f"task_routes[{shown!r}]"
        check_names(route, of=of, known=CALL_OPTIONS, strict=self.strict)
        check_task_values(route, of=of, strict=self.strict)
        return route


def _is_pattern(name: Any) -> bool:
    return not isinstance(name, str) or "*" in name or "?" in name


def _is_pairs(item: list[Any] | tuple[Any, ...]) -> bool:
    return all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in item)  # noqa: PLR2004 - a pair


class _Table:
    dynamic = False

    def __init__(self, table: dict[str, Route]) -> None:
        self.table = table

    def __call__(self, name: str, *_: Any) -> Route | None:
        return self.table.get(name)


class _Pattern:
    dynamic = False

    def __init__(self, pattern: Any, route: Route) -> None:
        text = fnmatch.translate(pattern) if isinstance(pattern, str) else pattern
        self.matches = re.compile(text).match
        self.route = route

    def __call__(self, name: str, *_: Any) -> Route | None:
        return self.route if self.matches(name) else None


class _Function:
    """A router of the user's own: a function, an object or class with ``route_for_task``, or the
    dotted path of one."""

    dynamic = True

    def __init__(self, router: Any, reader: _Reader) -> None:
        self.router = router
        self.reader = reader
        self.function: Callable[..., Any] | None = None

    def __call__(
        self, name: str, args: Any, kwargs: Any, options: Route, task: Any
    ) -> Route | None:
        if self.function is None:
            self.function = _resolve(self.router)
        route = self.function(name, args, kwargs, options, task=task)
        return None if route is None else self.reader.route(name, route)


def _resolve(router: Any) -> Callable[..., Any]:
    if isinstance(router, str):
        module, _, attribute = router.replace(":", ".").rpartition(".")
        try:
            router = getattr(import_module(module), attribute)
        except (ImportError, AttributeError, ValueError) as error:
            raise ImproperlyConfigured(f"task_routes: cannot import {router!r}: {error}") from error
    if isinstance(router, type):
        router = router()
    function = getattr(router, "route_for_task", router)
    if not callable(function):
        raise ImproperlyConfigured(f"task_routes: {router!r} is neither a dict nor a function")
    checked: Callable[..., Any] = function
    return checked
