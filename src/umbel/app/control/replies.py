"""Replies of nodes to one command: which are still to come, and what they are together.

Who hears a command is known in one of two ways. Some kinds of broker count whom they reached, nodes of
Celery among them; and every broker has heard of its own workers lately. Nothing is asked here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable
from typing import Any

from umbel.exceptions import DuplicateNodenameWarning
from umbel.message.audience import Audience

__all__ = ["Expectation", "Reply", "flatten_reply"]

#: ``{node: what it said}``.
Reply = dict[str, Any]


class Expectation:
    """Whose replies are still to come. ``reached``: how many heard the command, where that is known;
    ``known``: gives the nodes that the broker has heard of lately."""

    def __init__(
        self, audience: Audience, reached: int | None, known: Callable[[], Collection[str]]
    ) -> None:
        self._audience = audience
        self._reached = reached
        self._known = known
        self._awaited: set[str] | None = None

    def met(self, replies: list[Reply]) -> bool:
        """Nobody else is going to answer."""
        reached = self._reached
        if reached == 0:
            return True
        if self._audience.everybody and reached is not None:
            return len(replies) >= reached
        if self._awaited is None:
            self._awaited = self._find_awaited()
        return self._awaited.issubset(node for reply in replies for node in reply)

    def _find_awaited(self) -> set[str]:
        audience, reached, known = self._audience, self._reached, self._known()
        if audience.destination:
            # One that the broker does not know may be a node of Celery, or one whose only process
            # is just being replaced.
            return set(audience.destination)
        awaited = {node for node in known if audience.includes(node)}
        if reached is not None and reached > len(known):
            # Somebody hears us of whom nothing is known, so nobody can say whether he is meant.
            awaited.add("")
        return awaited


def flatten_reply(reply: Iterable[Reply]) -> Reply:
    """One dict of all replies; a name that two nodes have in common is warned of."""
    nodes: Reply = {}
    twice: set[str] = set()
    for one in reply:
        twice.update(node for node in one if node in nodes)
        nodes.update(one)
    if twice:
        names = ", ".join(sorted(twice))
        warnings.warn(
            DuplicateNodenameWarning(
                f"More than one node answers as {names}. Give each worker a name of its own: "
                "umbel worker -n NAME@%h"
            ),
            stacklevel=2,
        )
    return nodes
