"""The reading half of ``app.events``: ``Receiver`` and ``State``, bound to an app.

The classes are in ``umbel.events``; here the settings that matter to them are put in.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from umbel.events.receiver import EventReceiver
from umbel.events.state import State

if TYPE_CHECKING:
    from umbel.app.app import Umbel

__all__ = ["Watching"]


class Watching:
    """What programs that watch find in ``app.events``."""

    _app: Umbel

    @cached_property
    def Receiver(self) -> type[EventReceiver]:  # noqa: N802 - Celery's name
        """``EventReceiver`` of this app."""
        conf = self._app.conf
        topic = f"{conf.control_exchange}.pidbox"
        said = {"app": self._app, "exchange": conf.event_exchange, "control_topic": topic}
        return type("EventReceiver", (EventReceiver,), said)

    @property
    def State(self) -> type[State]:  # noqa: N802 - Celery's name
        """``umbel.events.state.State``."""
        return State
