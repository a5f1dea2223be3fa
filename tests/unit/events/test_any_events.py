"""Whatever anybody tells: neither the receiver, nor the state, nor what is shown of it, breaks."""

from __future__ import annotations

import json
import logging

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from umbel.brokers.memory.broker import MemoryBroker
from umbel.cli.events_dump import Dump
from umbel.cli.events_text import details, task_cells, tasks_shown, worker_cells
from umbel.events.receiver import EventReceiver
from umbel.events.seen import Task, Worker
from umbel.events.state import State

NAMES = sorted(
    {*Task._fields, *vars(Worker("w")), "hostname", "type", "utcoffset", "local_received", "event"}
)
TYPES = [f"task-{kind}" for kind in ("sent", "received", "started", "failed", "retried", "odd")]
TYPES += [f"worker-{kind}" for kind in ("online", "heartbeat", "offline", "odd")]

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["one", "two", "w@h"])
)
values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text(max_size=3), scalars)
anything = st.dictionaries(st.sampled_from(NAMES), values, max_size=8)
likely = st.builds(
    lambda kind, uuid, moment, rest: {
        **rest,
        "type": kind,
        "uuid": uuid,
        "hostname": "w@h",
        "timestamp": moment,
    },
    st.sampled_from(TYPES),
    st.sampled_from(["one", "two", "three", "four"]),
    st.integers(0, 10**10) | st.floats(0, 1e10),
    anything,
)
events = st.lists(anything | likely, max_size=12)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events)
def test_no_event_breaks_the_state_or_what_is_shown_of_it(told):
    state, dump = State(max_tasks_in_memory=3, max_workers_in_memory=2), Dump()
    for event in told:
        state.event(event)
        dump.line({"type": "x", **event})

    for only in (None, "SUCCESS"):
        for task in tasks_shown(state, "o", only, 10):
            task_cells(task), details(task), repr(task), task.info(), task.parent, task.root
            assert task.as_dict()["uuid"] == task.uuid
    for worker in state.workers.values():
        worker_cells(worker), repr(worker), worker.id
    assert state.event_count == len(told)
    assert len(state.tasks) <= 3
    assert sum(map(len, state.tasks_by_worker.values())) <= 3


@settings(max_examples=40, deadline=None)
@given(st.lists(values | likely | st.lists(likely | values, max_size=3), min_size=1, max_size=6))
def test_no_notice_ends_a_capture(told):
    logging.getLogger("umbel.events").setLevel(logging.CRITICAL)  # thousands of lines otherwise
    broker = MemoryBroker("memory://any-events")
    state = State()
    receiver = EventReceiver(broker, handlers={"*": state.event})
    receiver.on_listening = lambda: [broker.bus.publish("celeryev/x", one) for one in told]
    try:
        receiver.capture(limit=len(told), timeout=20)
    finally:
        broker.close()
        logging.getLogger("umbel.events").setLevel(logging.NOTSET)
    flat = [
        one for payload in told for one in (payload if isinstance(payload, list) else [payload])
    ]
    expected = [one for one in flat if isinstance(one, dict) and isinstance(one.get("type"), str)]
    assert state.event_count == len(json.loads(json.dumps(expected)))
