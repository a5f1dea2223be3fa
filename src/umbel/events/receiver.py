"""``EventReceiver``: what workers and clients tell, event by event, to functions of one's own.

Celery's names, in programs that watch: ``app.events.Receiver``. It listens on the broker's bus and asks
the workers for a sign of life first. Nothing is kept: who was not listening has missed it.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from typing import Any, ClassVar, Final, Protocol
from uuid import uuid4

from umbel.exceptions import OperationalError

__all__ = ["EventReceiver"]

logger = logging.getLogger("umbel.events")

Handlers = Mapping[str, Callable[[dict[str, Any]], object]]

#: Longest wait before ``should_stop`` is looked at again.
_LOOK: Final = 0.25
#: Seconds between attempts to listen anew.
_AGAIN: Final = 1.0
#: Clients do not take part in the logical clock: what they sent is older than what we know.
_BEFORE_US: Final = -1


class _Notice(Protocol):
    @property
    def topic(self) -> str: ...
    @property
    def payload(self) -> Any: ...


class _Listener(Protocol):
    """What is used of ``umbel.brokers.bus.Listener``."""

    def wait(self, timeout: float) -> None: ...
    def take(self) -> Iterable[_Notice]: ...
    def close(self) -> None: ...


class EventReceiver:
    """Captures events: ``EventReceiver(connection, handlers={"task-failed": f, "*": g}).capture()``.

    ``"*"`` receives what has no handler of its own. A handler that raises is logged and does not end
    the capture; setting ``should_stop`` does.
    """

    app: ClassVar[Any] = None
    #: The exchange on which events are told, and the topic on which workers listen.
    exchange: ClassVar[str] = "celeryev"
    control_topic: ClassVar[str] = "celery.pidbox"

    def __init__(  # noqa: PLR0917 - Celery's positions
        self,
        channel: Any = None,
        handlers: Handlers | None = None,
        routing_key: str = "#",
        node_id: str | None = None,
        app: Any = None,
        queue_prefix: str | None = None,
        accept: Iterable[str] | None = None,
        **queue_options: Any,
    ) -> None:
        """``channel``: a connection of ``app.connection()``, a broker, or None for the app's own.
        Whoever listens has no queue here, so that what is said of it has no effect."""
        self._app = self.app if app is None else app
        self.channel = channel
        self.handlers: Handlers = {} if handlers is None else handlers
        self.routing_key = routing_key
        self.node_id = node_id or str(uuid4())
        self.queue_prefix = queue_prefix
        self.accept = accept
        self.should_stop = False
        #: Called when it has begun to listen, and again after the connection was lost.
        self.on_listening: Callable[[], object] | None = None
        unknown = queue_options.keys() - {f"queue_{o}" for o in _QUEUE_OPTIONS}
        if unknown:
            raise TypeError(f"Receiver() has no argument {min(unknown)!r}")
        #: Which types are meant; None: all.
        self._meant = None if routing_key == "#" else _pattern(routing_key).fullmatch

    @property
    def connection(self) -> Any:
        """What was given as channel."""
        return self.channel

    def capture(
        self, limit: int | None = None, timeout: float | None = None, wakeup: bool = True
    ) -> None:
        """Hand each event to its handler: until ``limit`` messages came (one may hold several events),
        ``should_stop`` is set, or none came for ``timeout`` seconds: TimeoutError, as Celery's.
        With ``wakeup`` workers are asked for a heartbeat first."""
        for _ in self.itercapture(limit, timeout, wakeup):
            pass

    def itercapture(
        self, limit: int | None = None, timeout: float | None = None, wakeup: bool = True
    ) -> Iterator[None]:
        """``capture`` in steps: goes on to the next message when it is asked for more."""
        listener: _Listener = self._bus.listen(self._topics)
        try:
            self._announce(wakeup)
            left = count() if limit is None else range(limit)
            for _, notice in zip(left, self._notices(listener, timeout, wakeup), strict=False):
                self._receive(notice)
                yield
                if self.should_stop:
                    return
        finally:
            listener.close()

    def process(self, type: str, event: dict[str, Any]) -> None:  # noqa: A002 - Celery's name
        """Hand one event to its handler."""
        handler = self.handlers.get(type) or self.handlers.get("*")
        if handler is not None:
            handler(event)

    def wakeup_workers(self, channel: Any = None) -> None:  # noqa: ARG002 - Celery's signature
        """Ask every worker for a heartbeat, so that it is known at once who is there."""
        self._tell("heartbeat")

    def enable_events(self) -> None:
        """Ask every worker to tell what becomes of its tasks."""
        self._tell("enable_events")

    def event_from_message(
        self,
        body: dict[str, Any],
        localize: bool = True,  # noqa: ARG002 - a moment since the epoch is the same everywhere
    ) -> tuple[str, dict[str, Any]]:
        """The type of an event, and the event with the moment at which we received it."""
        clock = getattr(self._app, "clock", None)
        told = body.get("clock")
        if clock is not None:
            if body["type"] == "task-sent":
                body["clock"] = (clock.value or 1) + _BEFORE_US
            elif isinstance(told, int):
                clock.adjust(told)
            else:
                body["clock"] = clock.forward()
        body["local_received"] = time.time()
        return body["type"], body

    # Listening ----------------------------------------------------------------------------------------

    @property
    def _bus(self) -> Any:
        source = self._app if self.channel is None else self.channel
        return getattr(source, "broker", source).bus

    @property
    def _topics(self) -> list[str]:
        topics = [f"{self.exchange}/{self.routing_key.replace('#', '*')}"]
        # Workers tell several events of tasks at once, of whatever types.
        return topics if self._meant is None else [*topics, f"{self.exchange}/task.multi"]

    def _notices(
        self, listener: _Listener, timeout: float | None, wakeup: bool
    ) -> Iterator[_Notice]:
        heard, lost = time.monotonic(), False
        while not self.should_stop:
            try:
                listener.wait(_LOOK if timeout is None else min(_LOOK, timeout))
                notices = listener.take()
                if lost:
                    logger.info("Listening to events again")
                    lost = False
                    self._announce(wakeup)
            except OperationalError as error:
                notices = ()
                if not lost:
                    logger.warning("Lost the broker, events are missed until it is back: %s", error)
                    lost = True
                else:
                    time.sleep(_AGAIN if timeout is None else min(_AGAIN, timeout))
            for notice in notices:
                yield notice
                heard = time.monotonic()
            if timeout is not None and time.monotonic() - heard >= timeout:
                raise TimeoutError(f"No event within {timeout:g} seconds")

    def _announce(self, wakeup: bool) -> None:
        if wakeup:
            self.wakeup_workers()
        if self.on_listening is not None:
            self.on_listening()

    def _receive(self, notice: _Notice) -> None:
        payload = notice.payload
        for body in payload if isinstance(payload, list) else (payload,):
            if not isinstance(body, dict) or not isinstance(body.get("type"), str):
                logger.warning("Skipped what is no event on %s: %.200r", notice.topic, body)
                continue
            if self._meant is not None and not self._meant(body["type"].replace("-", ".")):
                continue
            try:
                self.process(*self.event_from_message(body))
            except Exception:
                logger.exception("Could not take in the event %.500r", body)

    def _tell(self, method: str) -> None:
        told: dict[str, Any] = {
            "method": method,
            "arguments": {},
            "destination": None,
            "pattern": None,
        }
        try:
            self._bus.publish(self.control_topic, {**told, "matcher": None}, {"expires": 0})
        except OperationalError as error:
            logger.debug("Could not send %r to the workers: %s", method, error)


#: What Celery's receiver takes for the queue that it declares.
_QUEUE_OPTIONS: Final = ("ttl", "expires", "exclusive", "durable")


def _pattern(routing_key: str) -> re.Pattern[str]:
    """AMQP's: ``*`` is one word, ``#`` any number of them."""
    words = [
        {"*": r"[^.]+", "#": r".*"}.get(word, re.escape(word)) for word in routing_key.split(".")
    ]
    return re.compile(r"\.".join(words).replace(r"\..*", r"(?:\..*)?"))
