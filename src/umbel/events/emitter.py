"""From whoever knows that something happened to whoever wants to know it.

Receivers are called in the thread that emits, one after the other, and must be quick. On the path
of a job ``wanted`` is asked first, so that an event nobody wants is not even made.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from umbel.events.types import Event

__all__ = ["Emitter", "Receiver"]

logger = logging.getLogger("umbel.events")

E = TypeVar("E", bound=Event)
Receiver: TypeAlias = Callable[[Any], object]


class _Routes(dict[type[Event], tuple[Receiver, ...]]):
    """Who receives events of a type; found out when the type is first met."""

    __slots__ = ("subscriptions",)

    def __init__(self, subscriptions: tuple[tuple[type[Event], Receiver], ...]) -> None:
        super().__init__()
        self.subscriptions = subscriptions

    def __missing__(self, event_type: type[Event]) -> tuple[Receiver, ...]:
        wanting = [one for wanted, one in self.subscriptions if issubclass(event_type, wanted)]
        self[event_type] = found = tuple(
            one for index, one in enumerate(wanting) if one not in wanting[:index]
        )
        return found


class Emitter:
    """Hands events to their receivers. May be used from any thread."""

    __slots__ = ("_changing", "_routes")

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._routes = _Routes(())

    def subscribe(self, event_type: type[E], receiver: Callable[[E], object]) -> None:
        """Call ``receiver`` with each event of this type and of those that descend from it; once
        for each event, however often it was subscribed."""
        if not (isinstance(event_type, type) and issubclass(event_type, Event)):
            raise TypeError(f"{event_type!r} is not a type of event; see umbel.events.types")
        with self._changing:
            self._routes = _Routes((*self._routes.subscriptions, (event_type, receiver)))

    def unsubscribe(self, event_type: type[E], receiver: Callable[[E], object]) -> None:
        """End a subscription; ending one that is not there is harmless."""
        with self._changing:
            self._routes = _Routes(
                tuple(one for one in self._routes.subscriptions if one != (event_type, receiver))
            )

    def wanted(self, event_type: type[Event]) -> bool:
        """Whether anybody receives events of this very type."""
        return bool(self._routes[event_type])

    def emit(self, event: Event) -> None:
        """Hand this event to everybody who wants it. What a receiver raises is logged, and the
        others still receive."""
        for receiver in self._routes[type(event)]:
            try:
                receiver(event)
            except Exception:
                logger.exception("%r could not receive %r", receiver, event)
