"""What a coroutine is held by while it runs: by it, others end it. Needs no asyncio itself."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from umbel.coroutines import Steered

__all__ = ["Leash"]


class Leash:
    """What ends a coroutine from outside: ``limits``, after so many seconds what; or ``interrupt``."""

    __slots__ = ("held", "limits")

    def __init__(self, limits: Sequence[tuple[float, BaseException]] = ()) -> None:
        self.limits = limits
        #: While it runs: on which loop, and what.
        self.held: tuple[asyncio.AbstractEventLoop, Steered] | None = None

    def interrupt(self, error: BaseException) -> None:
        """Raise this where the coroutine waits; nothing, where it does not run. From any thread."""
        held = self.held
        if held is not None:
            loop, steered = held
            with suppress(RuntimeError):  # its loop has just been closed
                loop.call_soon_threadsafe(steered.interrupt, error)
