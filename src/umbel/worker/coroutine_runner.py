"""Runs the coroutines of jobs that run as functions do: ``async def`` tasks in most pools."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from umbel.leash import Leash

if TYPE_CHECKING:
    from umbel.coroutines import Runner

__all__ = ["CoroutineRunner", "plain_runner"]


def plain_runner() -> Runner:
    """An event loop for each thread."""
    from umbel.coroutines import Runner

    return Runner()


class CoroutineRunner:
    """asyncio, which takes 20 ms, is loaded with the first coroutine. Safe to share between threads;
    two that begin at once make two runners, of which one is used."""

    def __init__(self, make: Callable[[], Runner]) -> None:
        self._make = make
        self._runner: Runner | None = None

    def run(self, coroutine: Coroutine[Any, Any, Any], leash: Leash | None) -> Any:
        """Its value."""
        from umbel.coroutines import limited

        runner = self._runner
        if runner is None:
            runner = self._runner = self._make()
        return runner.run(limited(coroutine, leash))

    def leave(self) -> None:
        """This thread runs nothing more."""
        if self._runner is not None:
            self._runner.leave()

    def close(self) -> None:
        """Nothing runs in any thread any more, and all of them have left."""
        if self._runner is not None:
            self._runner.close()
