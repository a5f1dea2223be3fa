"""How far a call travels until the broker has it: frames, modules and Python calls, with a budget.

Counted with a profiler on the third call, when everything is warm. A hop is what somebody who reads
or debugs the program has to follow; each also costs time.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import uuid4

import pytest

from umbel import Umbel
from umbel.brokers.base import Broker
from umbel.brokers.memory.broker import MemoryBroker
from umbel.brokers.sql.broker import SqlBroker

#: Frames of ours on the stack when the broker gets the message, its own among them.
DEEPEST = 5
#: Modules of ours that worked on it until then, the broker's among them.
MODULES = 8
#: Python functions entered during the whole call, in the broker and of any library.
CALLS = 60
#: Seconds of ours for one call, the broker's not counted.
SECONDS = 20e-6


class Hops:
    """What a profiler saw of one call."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.modules: list[str] = []
        #: Frames of ours, and modules so far, when ``publish`` of the broker was entered.
        self.deep = 0
        self.modules_before: set[str] = set()

    def see(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event != "call":
            return
        module = frame.f_globals.get("__name__", "")
        self.calls.append(f"{module}.{frame.f_code.co_qualname}")
        if module.startswith("umbel."):
            self.modules.append(module)
        published = frame.f_code in (MemoryBroker.publish.__code__, SqlBroker.publish.__code__)
        if published:
            self.deep = frames_of_ours(frame)
            self.modules_before = set(self.modules)


def frames_of_ours(frame: FrameType | None) -> int:
    count = 0
    while frame is not None:
        count += frame.f_globals.get("__name__", "").startswith("umbel.")
        frame = frame.f_back
    return count


@pytest.fixture(params=["memory", "sqlite"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    url = (
        f"memory://{uuid4().hex}" if request.param == "memory" else f"sqlite:///{tmp_path}/hops.db"
    )
    with Umbel("hops", broker=url) as made:
        yield made


def add(x: int, y: int) -> int:
    return x + y


def test_a_call_reaches_the_broker_within_the_budget(app: Umbel) -> None:
    task = app.task(add, name="hops.add")
    task.delay(1, 2)
    task.delay(1, 2)
    hops = Hops()

    sys.setprofile(hops.see)
    try:
        task.delay(1, 2)
    finally:
        sys.setprofile(None)

    print(
        f"{app.broker.display_url}: {hops.deep} frames deep and {len(hops.modules_before)} modules at "
        f"the broker, {len(hops.calls)} calls and {len(set(hops.modules))} modules in all"
    )
    assert 0 < hops.deep <= DEEPEST
    assert len(hops.modules_before) <= MODULES, sorted(hops.modules_before)
    assert len(hops.calls) <= CALLS, "\n".join(hops.calls)


class Nowhere(Broker):
    """A broker that takes everything and does nothing."""

    display_url = "nowhere://"

    def publish(self, messages: Any, timeout: float | None = None) -> None:
        """Gone."""

    bus = consume = beat = silent = adopt = joins = attended = revoke = revoked = None  # type: ignore[assignment]

    def close(self) -> None:
        """Nothing to close."""


def test_a_call_takes_20_microseconds_without_the_broker() -> None:
    app = Umbel("hops", broker=f"memory://{uuid4().hex}", set_as_current=False)
    task = app.task(add, name="hops.add")
    task.delay(2, 3)
    app.publisher._broker = Nowhere()

    # The best of many: whatever else the machine does only makes it slower.
    one = min(seconds(lambda: task.delay(2, 3), 100) for _ in range(200))
    named = min(seconds(lambda: task.delay(x=2, y=3), 100) for _ in range(200))
    delayed = min(seconds(lambda: task.apply_async((2, 3), countdown=60), 100) for _ in range(200))
    pairs = [(2, 3)] * 500
    many = min(seconds(lambda: task.delay_many(pairs), 1) / 500 for _ in range(40))

    print(
        f"delay(2, 3): {one * 1e6:.1f} µs; delay(x=2, y=3): {named * 1e6:.1f} µs; "
        f"apply_async(countdown): {delayed * 1e6:.1f} µs; delay_many: {many * 1e6:.1f} µs each"
    )
    assert one <= SECONDS
    assert many <= SECONDS


def seconds(call: Any, times: int) -> float:
    """Of processor time for each call: others that run meanwhile do not count."""
    began = time.thread_time()
    for _ in range(times):
        call()
    return (time.thread_time() - began) / times


def test_checking_a_positional_call_takes_less_than_one_and_a_half_microseconds() -> None:
    task = Umbel("hops", broker="memory://hops", set_as_current=False).task(add, name="hops.add")
    task.__header__(2, 3)

    check = min(seconds(lambda: task.__header__(2, 3), 1000) for _ in range(40))

    print(f"checking the arguments: {check * 1e6:.2f} µs")
    assert check <= 1.5e-6
