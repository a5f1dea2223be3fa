"""What State makes of events: of a real Celery worker's, of late and of broken ones, and how much it keeps."""

from __future__ import annotations

import json
import pickle
import threading
import time
from pathlib import Path

import pytest

from umbel import states
from umbel.events.state import State

GOLDEN = Path(__file__).parent / "golden"
START = 1_000_000.0


def golden_events():
    """What a worker and clients of Celery 5.7 told on Redis."""
    for line in (GOLDEN / "celery_5_7.jsonl").read_text(encoding="utf-8").splitlines():
        payload = json.loads(line)["payload"]
        for event in payload if isinstance(payload, list) else [payload]:
            yield {**event, "local_received": event["timestamp"]}


def told(state: State, uuid: str, *kinds: str, start: float = START, **fields):
    """One event after the other, a second apart."""
    for second, kind in enumerate(kinds):
        moment = start + second
        event = {"hostname": "w@h", "pid": 1, "timestamp": moment, "local_received": time.time()}
        state.event({**event, "type": kind, "uuid": uuid, **fields})
    return state.tasks.get(uuid)


def test_the_events_of_celery_make_the_tasks_that_celerys_state_makes_of_them():
    state = State()
    for event in golden_events():
        state.event(event)

    expected = json.loads((GOLDEN / "celery_5_7_state.json").read_text(encoding="utf-8"))
    for fields in expected:
        task = state.tasks[fields["uuid"]]
        made = {**task.as_dict(), "worker": task.worker and task.worker.hostname}
        # An event that came late does not set the clock back here.
        late = {"timestamp", "clock"} if fields["name"] == "gapp.refuse" else set()
        assert {name: made[name] for name in fields.keys() - late} == {
            name: value for name, value in fields.items() if name not in late
        }
    assert len(state.tasks) == len(expected)
    assert (state.event_count, state.task_count) == (47, 9)
    assert state.task_types() == sorted({fields["name"] for fields in expected})


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["task-sent"], states.PENDING),
        (["task-sent", "task-received", "task-started"], states.STARTED),
        (["task-succeeded", "task-started", "task-received", "task-sent"], states.SUCCESS),
        (["task-started", "task-retried", "task-received"], states.RECEIVED),
        (["task-started", "task-retried", "task-started", "task-failed"], states.FAILURE),
        (["task-failed", "task-revoked"], states.FAILURE),
        (["task-started", "task-halfway"], "HALFWAY"),
        (["task-started", "task-halfway", "task-succeeded", "task-halfway"], states.SUCCESS),
        (["task-received", "task-revoked"], states.REVOKED),
    ],
)
def test_the_state_is_the_one_that_lies_furthest(kinds, expected):
    assert told(State(), "one", *kinds).state == expected


def test_a_retry_that_is_heard_of_after_the_end_does_not_undo_the_end():
    state = State()
    told(state, "one", "task-succeeded")

    assert told(state, "one", "task-retried", start=START - 1).state == states.SUCCESS
    assert told(state, "one", "task-retried", start=START + 1).state == states.RETRY


def test_a_late_event_fills_gaps_and_nothing_else():
    state = State()
    told(state, "one", "task-started", clock=7)
    task = told(state, "one", "task-received", start=START - 5, name="add", clock=6, odd="x")

    assert (task.state, task.name, task.clock, task.timestamp) == ("STARTED", "add", 7, START)
    assert task.received == START - 5
    assert not hasattr(task, "odd")


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"type": 3},
        {"type": "task-received", "hostname": "h", "timestamp": 1.0},
        {"type": "task-received", "hostname": "h", "timestamp": 1.0, "uuid": ["x"]},
        {"type": "task-received", "hostname": ["h"], "timestamp": 1.0, "uuid": "x"},
        {"type": "task-received", "hostname": "h", "timestamp": "now", "uuid": "x"},
        {"type": "worker-online"},
        {"type": "other-thing", "hostname": "h", "timestamp": 1.0},
    ],
)
def test_what_lacks_what_it_must_have_is_counted_and_left_out(event):
    state = State()

    assert state.event(event) is None
    assert (state.event_count, state.tasks, state.workers) == (1, {}, {})


def test_no_field_hides_a_method():
    state = State()
    names = {
        "event": 1,
        "info": 2,
        "ready": 3,
        "children": 4,
        "worker": 5,
        "_known": 6,
        "hue": "red",
    }
    for _ in range(2):
        told(state, "one", "task-received", "task-succeeded", **names)
        told(state, "", "worker-heartbeat", alive=3, update=4, heartbeats=5, hue="blue", freq="x")

    task, worker = state.tasks["one"], state.workers["w@h"]
    assert (task.hue, task.ready, task.children, task.worker) == ("red", True, set(), worker)
    assert (worker.hue, worker.alive) == ("blue", True)
    assert task.info(fields=["hue"], extra=["state"]) == {"hue": "red", "state": "SUCCESS"}


def test_a_worker_is_alive_for_twice_the_time_between_its_heartbeats():
    state = State()
    beat = {"type": "worker-heartbeat", "hostname": "w@h", "timestamp": START, "freq": 2.0}
    state.event({**beat, "local_received": time.time() - 4.1})
    worker = state.workers["w@h"]
    assert (worker.alive, worker.status_string, list(state.alive_workers())) == (
        False,
        "OFFLINE",
        [],
    )

    state.event({**beat, "local_received": time.time()})
    assert (worker.alive, worker.status_string, list(state.alive_workers())) == (
        True,
        "ONLINE",
        [worker],
    )


def test_who_joins_and_who_leaves_is_told():
    seen = []
    state = State(
        on_node_join=lambda worker: seen.append(("joins", worker.hostname)),
        on_node_leave=lambda worker: seen.append(("leaves", worker.hostname)),
        callback=lambda _, event: seen.append(event["type"]),
    )
    told(state, "", "worker-heartbeat", "worker-heartbeat", "worker-offline")

    assert seen == [
        *("worker-heartbeat", ("joins", "w@h"), "worker-heartbeat"),
        *("worker-offline", ("leaves", "w@h")),
    ]
    assert state.workers == {}


def test_the_oldest_is_forgotten_first_and_everywhere():
    state = State(max_tasks_in_memory=3, max_workers_in_memory=2)
    for number in range(6):
        told(state, f"id{number}", "task-received", name="add", parent_id="mother")
        told(state, "", "worker-heartbeat", hostname=f"w{number}@h")

    assert list(state.tasks) == ["id3", "id4", "id5"]
    assert {task.uuid for task in state.tasks_by_type["add"]} == {"id3", "id4", "id5"}
    assert len(state.tasks_by_worker["w@h"]) == 3
    assert list(state.workers) == ["w4@h", "w5@h"]
    mother = told(state, "mother", "task-received")  # and id3 goes
    assert {child.uuid for child in mother.children} == {"id4", "id5"}


def test_tasks_come_in_the_order_of_their_last_events():
    state = State()
    for number, name in enumerate(["add", "add", "mul", "add"]):
        told(state, f"id{number}", "task-received", name=name, start=START + number)
    told(state, "id0", "task-succeeded", start=START + 9)

    def ids(rows):
        return [uuid for uuid, _ in rows]

    assert ids(state.tasks_by_time()) == ["id0", "id3", "id2", "id1"]
    assert ids(state.tasks_by_timestamp(limit=2, reverse=False)) == ["id1", "id2"]
    assert ids(state.tasks_by_type("add", limit=2)) == ["id0", "id3"]
    assert ids(state.tasks_by_worker("w@h", reverse=False)) == ["id1", "id2", "id3", "id0"]
    assert ids(state.itertasks(limit=2)) == ["id0", "id1"]
    assert sorted(state.tasks_by_type) == ["add", "mul"]


def test_what_has_ended_is_cleared_and_the_rest_stays():
    state = State()
    told(state, "ended", "task-succeeded", name="add")
    told(state, "runs", "task-started", name="add", parent_id="ended")
    seen = state.freeze_while(lambda: list(state.tasks), clear_after=True)

    assert seen == ["ended", "runs"]
    assert (list(state.tasks), state.workers, state.event_count) == (["runs"], {}, 0)
    assert state.tasks["runs"].parent is None
    state.clear(ready=False)
    assert (state.tasks, list(state.tasks_by_type)) == ({}, [])


def test_a_state_can_be_put_away_and_taken_up_again():
    state = State()
    told(state, "mother", "task-started", name="add")
    told(state, "child", "task-succeeded", name="add", parent_id="mother", root_id="mother")
    again = pickle.loads(pickle.dumps(state))
    told(again, "mother", "task-succeeded")

    child = again.tasks["child"]
    assert (child.parent.state, child.root.children) == ("SUCCESS", {child})
    assert len(again.tasks_by_type["add"]) == 2
    assert state.tasks["mother"].state == "STARTED"


def test_threads_may_ask_while_another_feeds():
    state = State(max_tasks_in_memory=50)
    stop, errors = threading.Event(), []

    def ask():
        try:
            while not stop.is_set():
                list(state.tasks_by_time(limit=5))
                list(state.tasks_by_type("add"))
                list(state.alive_workers())
                [task.as_dict() for _, task in state.itertasks()]
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    for number in range(3000):
        told(state, f"id{number}", "task-received", name="add", parent_id=f"id{number - 1}")
    stop.set()
    thread.join()

    assert errors == []
    assert len(state.tasks) == 50
