"""Several workers that are struck at random, and a record of every fault.

A fault concerns processes for a while: a killed one at that moment, a stopped one until it goes on.
Only what such a process was working on may be run a second time.
"""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress

import msgspec
from tests.deployment import Deployment, Node

__all__ = ["Fault", "Fleet"]

#: Seconds for a process that was stopped to find out what it lost meanwhile.
AFTER = 1.0


class Fault(msgspec.Struct):
    """``until`` is infinite while it lasts."""

    what: str
    pids: frozenset[int]
    moment: float
    until: float

    def excuses(self, pid: int, start: float, end: float) -> bool:
        """Whether a run of this process may have to be repeated. What ended just before the fault
        may not have been settled by then."""
        return pid in self.pids and self.moment <= end + 0.5 and start <= self.until


class Fleet:
    """``strike`` again and again; ``heal`` at the end."""

    def __init__(self, deployment: Deployment, size: int, chance: random.Random) -> None:
        self.deployment = deployment
        self.chance = chance
        self.faults: list[Fault] = []
        self.places = [self._start() for _ in range(size)]
        self.orphans = 0
        self._stopped: list[tuple[float, list[int], Fault]] = []
        self._empty: list[tuple[float, int]] = []

    def strike(self) -> None:
        """One fault, or a request to leave, somewhere; and whatever has become due meanwhile."""
        self.tend()
        place = self.chance.randrange(len(self.places))
        node = self.places[place]
        if node.process.poll() is not None:
            return
        kind = self.chance.choice(
            ["term", "kill", "kill parent", "kill child", "stop", "stop parent", "stop child"]
        )
        children = node.children()
        child = self.chance.choice(children) if children else node.pid
        if kind == "term":
            node.signal(signal.SIGTERM)
        elif kind == "kill":
            self._note(kind, [node.pid, *children])
            node.signal_tree(signal.SIGKILL)
        elif kind == "kill parent":
            # Children without a parent finish what they have, which excuses no second run, unless
            # they are stopped.
            node.signal(signal.SIGKILL)
            self.orphans += len(children)
            for _, pids, fault in self._stopped:
                fault.pids |= frozenset(pids) & frozenset(children)
        elif kind == "kill child":
            self._note(kind, [child])
            os.kill(child, signal.SIGKILL)
        else:
            family = [node.pid, *children]
            pids = {"stop": family, "stop parent": [node.pid], "stop child": [child]}[kind]
            # Nobody beats for the children of a stopped parent; but a living parent does so for a
            # stopped child, which then has no cause to lose anything.
            self._stop(kind, pids, [] if kind == "stop child" else family)

    def tend(self) -> None:
        """Let stopped ones go on, and replace the dead, when their time has come."""
        now = time.time()
        for one in list(self._stopped):
            if one[0] <= now:
                self._continue(*one)
        waiting = {place for _, place in self._empty}
        for place, node in enumerate(self.places):
            if node.process.poll() is not None and place not in waiting:
                self._empty.append((now + self.chance.uniform(0, 2), place))
        for due, place in list(self._empty):
            if due <= now:
                self._empty.remove((due, place))
                self.places[place] = self._start()

    def heal(self) -> None:
        """From here on every worker lives and works."""
        for one in list(self._stopped):
            self._continue(*one)
        for place, node in enumerate(self.places):
            if node.process.poll() is not None:
                self.places[place] = self._start()
        self._empty.clear()

    def excused(self, pid: int, start: float, end: float) -> bool:
        return any(fault.excuses(pid, start, end) for fault in self.faults)

    def _start(self) -> Node:
        return self.deployment.start("-c", "2", app="tests.apps.traces", ready=False)

    def _stop(self, kind: str, pids: list[int], concerned: list[int]) -> None:
        stopped = []
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                stopped.append(pid)
        fault = self._note(kind, concerned)
        fault.until = float("inf")
        self._stopped.append((time.time() + self.chance.uniform(0.5, 6), stopped, fault))

    def _continue(self, due: float, pids: list[int], fault: Fault) -> None:
        self._stopped.remove((due, pids, fault))
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        fault.until = time.time() + AFTER

    def _note(self, what: str, pids: list[int]) -> Fault:
        now = time.time()
        self.faults.append(Fault(what, frozenset(pids), now, now))
        return self.faults[-1]
