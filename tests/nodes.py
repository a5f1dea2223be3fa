"""A node for tests of those who ask: hears what is told to workers, and answers as the test says."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from umbel.brokers.bus import Notice
from umbel.message.audience import Audience
from umbel.waker import Waker

__all__ = ["Node"]

#: Seconds for what happens at once, on a machine that is busy.
PATIENCE = 10.0


class Node:
    """Hears every command; answers those that are for it with ``answer(request)``."""

    def __init__(
        self, app: Any, name: str, answer: Callable[[Any], Any] | None = lambda _: {"ok": "pong"}
    ) -> None:
        self.name = name
        self.heard: list[Notice] = []
        self._app = app
        self._answer = answer
        self._listener = app.broker.bus.listen([f"{app.conf.control_exchange}.pidbox"])
        self._consumer = app.broker.consume([], f"{name}/1/abc")
        self._waker, self._closed = Waker(), False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._closed:
            self._listener.wait(PATIENCE, (self._waker.fd,))
            for notice in self._listener.take():
                self._deal_with(notice)

    def _deal_with(self, notice: Notice) -> None:
        request = notice.payload
        audience = Audience(request["destination"], request["pattern"], request["matcher"])
        if not audience.includes(self.name):
            return
        self.heard.append(notice)
        if "reply_to" in request and self._answer is not None:
            place = "{exchange}/{routing_key}".format(**request["reply_to"])
            reply = {self.name: self._answer(request)}
            self._app.broker.bus.send_to(place, reply, {"ticket": request["ticket"]})

    def await_heard(self) -> list[Notice]:
        end = time.monotonic() + PATIENCE
        while not self.heard and time.monotonic() < end:
            time.sleep(0.005)
        return self.heard

    def close(self) -> None:
        self._closed = True
        self._waker.set()
        self._thread.join()
        self._waker.close()
        self._listener.close()
        self._consumer.close()
