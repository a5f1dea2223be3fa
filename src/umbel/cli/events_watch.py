"""Listening on behalf of ``umbel events``: one receiver, and workers that are asked to tell.

Workers tell of tasks only while somebody wants it (``-E``), so that whoever watches asks them to, again
and again, because some may have started meanwhile. It is not taken back at the end: somebody else
may be watching.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from umbel.exceptions import OperationalError

__all__ = ["Watch"]

#: Seconds between requests to tell; as Flower's.
_ASK_AGAIN: Final = 5.0
#: Seconds between attempts to reach a server that was never reached.
_TRY_AGAIN: Final = 1.0


class Watch:
    """Hands each event to ``take``, in the thread that calls ``run``."""

    def __init__(
        self,
        app: Any,
        take: Callable[[dict[str, Any]], object],
        *,
        enable: bool = True,
        on_listening: Callable[[], object] | None = None,
    ) -> None:
        self._connection = app.connection()
        self._receiver = app.events.Receiver(self._connection, handlers={"*": take})
        self._receiver.on_listening = self._begin
        self._enable = enable
        #: Called when it has begun to listen, and again after the connection was lost.
        self.on_listening = on_listening
        self._stopping = threading.Event()
        self._asking: threading.Thread | None = None
        #: Why nothing comes, as long as the server was never reached.
        self.problem = ""

    @property
    def where(self) -> str:
        """What it listens on, without a password."""
        uri: str = self._connection.as_uri()
        return uri

    def run(self, *, patient: bool = False) -> None:
        """Listen until ``stop``. A server that cannot be reached at first is an ``OperationalError``,
        or tried again and again by the ``patient``."""
        try:
            while not self._stopping.is_set():
                try:
                    self._receiver.capture(limit=None, timeout=None, wakeup=True)
                except OperationalError as error:
                    if not patient:
                        raise
                    self.problem = str(error)
                    self._stopping.wait(_TRY_AGAIN)
        finally:
            self.stop()
            if self._asking is not None:
                self._asking.join()
            self._connection.close()

    def stop(self) -> None:
        """End ``run`` within moments; from any thread."""
        self._receiver.should_stop = True
        self._stopping.set()

    def _begin(self) -> None:
        self.problem = ""
        if self._enable and self._asking is None:
            self._asking = threading.Thread(target=self._ask, name="umbel-events-ask", daemon=True)
            self._asking.start()
        if self.on_listening is not None:
            self.on_listening()

    def _ask(self) -> None:
        while not self._stopping.is_set():
            self._receiver.enable_events()
            self._stopping.wait(_ASK_AGAIN)
