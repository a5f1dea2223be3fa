"""Which queue a call goes to: options of the call, then of the task, then ``task_routes``, then the default.

``Router`` is made from settings once and asked for every message; what ``task_routes`` says about a
name is remembered, except where a function decides. Queues and routes are taken in every form that
Celery takes: names, dicts, lists, and objects with a ``name`` such as kombu's ``Queue``.
"""

from __future__ import annotations

import fnmatch
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

from umbel.app.option_kinds import check_task_values
from umbel.app.options import CALL_OPTIONS, check_names
from umbel.exceptions import ImproperlyConfigured, QueueNotFound
from umbel.spelling import nearest

__all__ = ["DeclaredQueue", "Destination", "Router"]

logger = logging.getLogger("umbel.app.routing")

Route = Mapping[str, Any]
Rule = Callable[..., Route | None]
_NOWHERE: Route = {}
_REMEMBERED = 10_000


class DeclaredQueue(NamedTuple):
    """A queue as ``task_queues`` declares it."""

    name: str
    exchange: str = ""
    exchange_type: str = "direct"
    routing_key: str = ""


class Destination(NamedTuple):
    """Where a message goes. ``exchange`` is empty where the queue alone decides."""

    queue: str
    exchange: str = ""
    routing_key: str | None = None


class Router:
    """Decides about queues for one configuration."""

    def __init__(
        self,
        *,
        routes: Any,
        queues: Any,
        default: str = "celery",
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
            self.queues[default] = DeclaredQueue(default, routing_key=default)
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

    def destination(self, queue: Any, exchange: Any, routing_key: str | None) -> Destination:
        """The queue, by itself or through the exchange and routing key that it is declared with."""
        name = queue if isinstance(queue, str) else _name(queue)
        if exchange and routing_key:
            exchange = exchange if isinstance(exchange, str) else _name(exchange)
            return Destination(name or self._bound(exchange, routing_key), exchange, routing_key)
        name = name or self.default
        if name not in self.queues and not self.create_missing:
            raise QueueNotFound(
                f"task_queues does not declare {name!r}{nearest(name, self.queues)} "
                "(task_create_missing_queues is off)"
            )
        return Destination(name)

    def _search(self, name: str, args: Any, kwargs: Any, options: Route, task: Any) -> Route:
        for rule in self._rules:
            route = rule(name, args, kwargs, options, task)
            if route is not None:
                return route
        return _NOWHERE

    def _bound(self, exchange: str, routing_key: str) -> str:
        for queue in self.queues.values():
            if queue.exchange == exchange and _binds(queue, routing_key):
                return queue.name
        raise QueueNotFound(
            f"no queue in task_queues is declared with exchange {exchange!r} and a routing key "
            f"that takes {routing_key!r}"
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
        return DeclaredQueue(_name(name), routing_key=_name(name))
    if isinstance(details, Mapping):
        exchange = details.get("exchange")
        key = details.get("routing_key") or details.get("binding_key")
        kind = details.get("exchange_type")
        name = details.get("name", name) if not isinstance(name, str) else name
    else:
        exchange, key, kind = getattr(details, "exchange", None), details.routing_key, None
        name = details.name
    kind = kind or getattr(exchange, "type", None) or "direct"
    return DeclaredQueue(
        _name(name), _name(exchange), kind, str(key or ("" if kind == "fanout" else _name(name)))
    )


def _name(value: Any) -> str:
    """The name of a queue or exchange given as text, as an object with a name, or not at all."""
    if value is None:
        return ""
    name = value if isinstance(value, str) else getattr(value, "name", None)
    if name is None and isinstance(value, Mapping):
        name = value.get("name")
    if not isinstance(name, str):
        raise ImproperlyConfigured(f"{value!r} is not the name of a queue or exchange")
    return name


def _binds(queue: DeclaredQueue, routing_key: str) -> bool:
    if queue.exchange_type == "fanout":
        return True
    if queue.exchange_type != "topic":
        return queue.routing_key == routing_key
    # Words are separated by dots; * is one word, # any number of them.
    pattern = re.escape(queue.routing_key).replace(r"\*", r"[^.]+").replace(r"\#", r".*")
    pattern = pattern.replace(r"\..*", r"(?:\..*)?").replace(r".*\.", r"(?:.*\.)?")
    return re.fullmatch(pattern, routing_key) is not None


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
            return {"queue": _name(route)}
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
