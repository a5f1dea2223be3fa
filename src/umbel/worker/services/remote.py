"""Remote control: hears what is told to the nodes, does it, and replies, in Celery's form.

One thread in the supervisor (or beside a solo worker). A request is a JSON object: ``method``,
``arguments``, for whom (``destination``: names, or ``pattern`` with ``matcher``), and where the reply
goes (``reply_to``, ``ticket``). Whatever it is, it never ends the worker.
"""

from __future__ import annotations

import inspect
import json
import logging
import threading
from collections.abc import Mapping
from typing import Any

from umbel.brokers.bus import Bus, Listener, Notice
from umbel.exceptions import EncodeError, OperationalError
from umbel.message.audience import Audience
from umbel.message.tracebacks import one_line
from umbel.service import Service
from umbel.spelling import nearest
from umbel.waker import Waker
from umbel.worker.commands.state import NodeState
from umbel.worker.commands.topics import COMMANDS

__all__ = ["RemoteControl"]

logger = logging.getLogger("umbel.worker")

#: Seconds between attempts to listen while the broker does not answer.
_TRY_AGAIN = 1.0
#: Seconds between looks at whether it is to stop; it is woken as well.
_LOOK_EVERY = 60.0
#: Where replies go that name no exchange.
_REPLIES = "reply.celery.pidbox"
_AUDIENCE = ("destination", "pattern", "matcher")


class RemoteControl(Service):
    """``quiet`` is held while the broker is being talked to (do not fork then)."""

    name = "remote-control"

    def __init__(
        self, state: NodeState, bus: Bus, quiet: threading.Lock, exchange: str = "celery"
    ) -> None:
        super().__init__()
        self.state = state
        self.bus = bus
        self.quiet = quiet
        self.topic = f"{exchange}.pidbox"
        self._waker = Waker()
        self._listener: Listener | None = None
        #: Whether it has begun to listen, or found that it cannot for now.
        self.begun = False

    def stop(self) -> None:
        super().stop()
        self._waker.set()

    def disown(self) -> None:
        """In a forked child: it does not listen, nor seem to when its supervisor is gone."""
        if self._listener is not None:
            self._listener.close()

    def run(self) -> None:
        while not self.stopping:
            try:
                for notice in self._wait():
                    self.deal_with(notice)
            except OperationalError as error:
                logger.debug("%s", error)
                self.begun = True
                self._stopping.wait(_TRY_AGAIN)
        if self._listener is not None:
            with self.quiet:
                self._listener.close()

    def _wait(self) -> list[Notice]:
        if self._listener is None:
            with self.quiet:
                self._listener = self.bus.listen([self.topic])
            self.begun = True
        self._listener.wait(_LOOK_EVERY, (self._waker.fd,))
        with self.quiet:
            return self._listener.take()

    def deal_with(self, notice: Notice) -> None:
        """Obey, if it is meant for this node, and reply, if that is wanted."""
        request = notice.payload
        try:
            if not isinstance(request, Mapping) or not self.is_for_us(request):
                return
            reply = self.answer(request)
            try:
                self._reply(request, notice, reply)
            except EncodeError as error:  # a command of the project; who asked need not wait
                logger.error("The reply of a command: %s", error)  # noqa: TRY400 - one line says it
                self._reply(request, notice, {"error": f"EncodeError: {one_line(error)}"})
        except OperationalError as error:
            logger.warning("A reply of remote control could not be sent: %s", error)
        except Exception:
            logger.exception("A request of remote control could not be dealt with")

    def is_for_us(self, request: Mapping[str, Any]) -> bool:
        """Whether its destination or pattern covers this node; without any, all are meant."""
        try:
            audience = Audience(*(request.get(name) for name in _AUDIENCE))
        except (TypeError, ValueError) as error:
            logger.debug("A request of remote control is for nobody: %s", error)
            return False
        return audience.includes(self.state.hostname)

    def answer(self, request: Mapping[str, Any]) -> Any:
        """Do what it asks for; the reply."""
        method, arguments = request.get("method"), request.get("arguments") or {}
        command = COMMANDS.get(method) if isinstance(method, str) else None
        if command is None:
            name = str(method)[:100]
            return {"error": f"there is no command {name!r}{nearest(name, COMMANDS)}"}
        if not isinstance(arguments, Mapping):
            return {"error": f"the arguments of {command.name} have to be named"}
        given = {str(name): value for name, value in arguments.items()}
        if not _is_text(given):
            return {"error": f"the arguments of {command.name} hold text that is no Unicode"}
        try:
            inspect.signature(command.run).bind(self.state, **given)
        except TypeError as error:
            return {"error": f"{command.name}: {error}"}
        try:
            return command.run(self.state, **given)
        except Exception as error:
            logger.exception("The command %s failed", command.name)
            return {"error": f"{type(error).__name__}: {one_line(error)}"}

    def _reply(self, request: Mapping[str, Any], notice: Notice, reply: Any) -> None:
        reply_to = request.get("reply_to")
        if not isinstance(reply_to, Mapping):
            return
        exchange, mailbox = reply_to.get("exchange"), reply_to.get("routing_key")
        if not (isinstance(mailbox, str) and mailbox and isinstance(exchange, str | None)):
            return
        headers = {"ticket": request.get("ticket"), "clock": self._tick(notice)}
        name = f"{exchange or _REPLIES}/{mailbox}"
        with self.quiet:
            self.bus.send_to(name, {self.state.hostname: reply}, headers)

    def _tick(self, notice: Notice) -> int:
        clock = self.state.app.clock
        seen = notice.headers.get("clock")
        if isinstance(seen, int) and not isinstance(seen, bool):
            return int(clock.adjust(seen))
        return int(clock.forward())


def _is_text(given: Mapping[str, Any]) -> bool:
    """Lone surrogates can be sent, but never written to a broker: what is to be done with them would
    fail for ever."""
    try:
        json.dumps(given, ensure_ascii=False, default=repr).encode()
    except (ValueError, RecursionError):
        return False
    return True
