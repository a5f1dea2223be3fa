"""``Polaroid``: shows the state of a cluster to a camera of one's own, again and again.

Celery's names. For those who keep what happened, in a database say: one picture in so many seconds
costs less than a write for each event. A camera is a subclass with an ``on_shutter(state)``;
``umbel events --camera`` runs it.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, ClassVar, Final, Self

from umbel.events.state import State
from umbel.signals import Signal

__all__ = ["Polaroid"]

logger = logging.getLogger("umbel.events")

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}


class Polaroid:
    """Takes a picture each ``freq`` seconds, at most ``maxrate`` (``10/m``), and cleans up each
    ``cleanup_freq`` seconds, in a thread of its own, while no event is taken in. ``timer``:
    something with ``call_repeatedly(seconds, function)`` instead of that thread."""

    timer: Any = None
    #: Sent with the state as sender.
    shutter_signal: ClassVar[Signal] = Signal(name="shutter_signal", providing_args={"state"})
    cleanup_signal: ClassVar[Signal] = Signal(name="cleanup_signal")
    #: Forget the tasks that have ended, and the workers, after each picture.
    clear_after: bool = False

    def __init__(  # noqa: PLR0917 - Celery's positions
        self,
        state: State,
        freq: float = 1.0,
        maxrate: str | float | None = None,
        cleanup_freq: float = 3600.0,
        timer: Any = None,
        app: Any = None,
    ) -> None:
        self.app = app
        self.state = state
        self.freq = freq
        self.cleanup_freq = cleanup_freq
        self.timer = timer or self.timer
        self.maxrate = maxrate
        self._pause = _seconds_between(maxrate)
        self._taken = -math.inf
        self._repeated: list[Any] = []

    def on_shutter(self, state: State) -> None:
        """Keep what is to be kept; for subclasses."""

    def on_cleanup(self) -> None:
        """Throw away what is old; for subclasses."""

    def install(self) -> None:
        """Begin."""
        repeat = _Repeated if self.timer is None else self.timer.call_repeatedly
        self._repeated = [repeat(self.freq, self.capture), repeat(self.cleanup_freq, self.cleanup)]

    def capture(self) -> None:
        """Take a picture now, if the rate allows one."""
        now = time.monotonic()
        if now - self._taken >= self._pause:
            self._taken = now
            self.state.freeze_while(self.shutter, clear_after=self.clear_after)

    def shutter(self) -> None:
        """Show the state to whoever wants to see it."""
        self.shutter_signal.send(sender=self.state, state=self.state)
        self.on_shutter(self.state)

    def cleanup(self) -> None:
        """Have what is old thrown away."""
        self.cleanup_signal.send(sender=self.state)
        self.on_cleanup()

    def cancel(self) -> None:
        """End, with a last picture of what came since."""
        repeated, self._repeated = self._repeated, []
        for one in repeated:
            one.cancel()
        if repeated:
            self.capture()

    def __enter__(self) -> Self:
        self.install()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cancel()


class _Repeated(threading.Thread):
    """Calls a function each so many seconds; what it raises is logged."""

    def __init__(self, seconds: float, function: Callable[[], object]) -> None:
        super().__init__(name="umbel-snapshot", daemon=True)
        self._seconds = seconds
        self._function = function
        self._cancelled = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._cancelled.wait(self._seconds):
            try:
                self._function()
            except Exception:
                logger.exception("The camera failed")

    def cancel(self) -> None:
        """Call no more; returns when it is over."""
        self._cancelled.set()
        if threading.current_thread() is not self:
            self.join()


def _seconds_between(rate: str | float | None) -> float:
    """``10/m``: six seconds."""
    if not rate:
        return 0.0
    number, _, unit = str(rate).partition("/")
    try:
        return _UNITS[unit.strip() or "s"] / float(number)
    except (KeyError, ValueError, ZeroDivisionError):
        raise ValueError(f"maxrate {rate!r} is no rate; write 10/s, 10/m or 10/h") from None
