"""The live view of ``umbel events``, operated key by key, with events from a real bus."""

from __future__ import annotations

import asyncio
import time
from itertools import count

import pytest

from umbel import Umbel
from umbel.cli.events_screens import Detail, Revocation
from umbel.cli.events_text import printable
from umbel.cli.events_view import MOST_TASKS, EventsView
from umbel.events.state import State

numbers = count()
WORKER = {"hostname": "w1@h", "freq": 60.0, "active": 1, "processed": 5, "loadavg": [0.1, 0.2, 0.3]}


@pytest.fixture
def app():
    with Umbel("view", broker=f"memory://view{next(numbers)}", set_as_current=False) as made:
        yield made


def operate(view: EventsView, script) -> None:
    """Run the view without a terminal while ``script(pilot)`` presses keys."""

    async def run() -> None:
        async with view.run_test(size=(150, 30)) as pilot:
            await script(pilot)

    asyncio.run(run())


async def until(pilot, condition) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "the view never showed it"
        await pilot.pause(0.02)


def event(kind: str, **fields):
    return {"type": kind, "hostname": "w1@h", "timestamp": time.time(), **fields}


def tell(app, *events) -> None:
    app.broker.bus.publish("celeryev/task.multi", list(events))


def summary(view) -> str:
    return str(view.query_one("#summary").render())


def column(view, number: int, table: str = "#tasks") -> list[str]:
    rows = view.query_one(table)
    return [str(rows.get_row_at(row)[number]) for row in range(rows.row_count)]


def test_workers_and_tasks_appear_as_they_are_told_of(app):
    view = EventsView(app)

    async def script(pilot):
        asked = app.broker.bus.listen(["celery.pidbox"])
        await until(pilot, lambda: view._watching.is_alive())
        methods = []

        def told_to_tell():
            methods.extend(notice.payload["method"] for notice in asked.take())
            return "enable_events" in methods

        await until(pilot, told_to_tell)
        tell(app, event("worker-heartbeat", **WORKER))
        tell(app, event("task-received", uuid="one", name="add"), event("task-started", uuid="one"))
        await until(pilot, lambda: column(view, 1) == ["STARTED"])
        assert (column(view, 2), column(view, 3), column(view, 4)) == (["add"], ["one"], ["w1@h"])
        assert column(view, 0, "#workers") == ["w1@h"]
        assert [column(view, n, "#workers") for n in (1, 2, 3)] == [["online"], ["1"], ["5"]]
        assert "1 worker" in summary(view)
        assert "1 task" in summary(view)

        tell(app, event("task-succeeded", uuid="one", result="5", runtime=0.25))
        await until(pilot, lambda: column(view, 1) == ["SUCCESS"])
        assert column(view, 5) == ["0.250"]
        asked.close()
        await pilot.press("q")

    operate(view, script)
    assert not view._watching.is_alive()


def test_the_filter_the_state_and_the_pause_choose_what_is_shown(app):
    view = EventsView(app, enable=False)

    async def script(pilot):
        await until(pilot, lambda: view.query_one("#summary").render())
        view.state.event(event("task-received", uuid="one", name="proj.add", args="(7,)"))
        view.state.event(event("task-succeeded", uuid="two", name="proj.mul"))
        view.state.event(event("task-succeeded", uuid="three", name="proj.add"))
        await until(pilot, lambda: len(column(view, 3)) == 3)

        await pilot.press("slash", *"ADD 7", "enter")
        await until(pilot, lambda: column(view, 3) == ["one"])
        assert "filter: ADD 7" in summary(view)
        await pilot.press("escape")
        await until(pilot, lambda: len(column(view, 3)) == 3)

        for _ in range(4):
            await pilot.press("s")
        await until(pilot, lambda: "only SUCCESS" in summary(view))
        assert set(column(view, 3)) == {"two", "three"}
        await pilot.press("escape")

        await pilot.press("p")
        assert "PAUSED" in summary(view)
        view.state.event(event("task-received", uuid="four", name="proj.add"))
        view.draw()
        assert len(column(view, 3)) == 3
        await pilot.press("p", "c")
        await until(pilot, lambda: set(column(view, 3)) == {"one", "four"})

    operate(view, script)


def test_the_detail_of_a_task_shows_everything_and_follows_it(app):
    view = EventsView(app, enable=False)
    mother = {"uuid": "mother", "name": "proj.mother"}

    def text() -> str:
        return str(view.screen.query_one("#facts").render())

    async def script(pilot):
        view.state.event(event("task-started", **mother, args="('[red]x',)"))
        view.state.event(event("task-sent", uuid="child", name="c", parent_id="mother", queue="q"))
        view.draw()
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(view.screen, Detail))
        for part in ("mother", "proj.mother", "STARTED", "('[red]x',)", "child"):
            assert part in text()
        view.state.event(
            event("task-failed", uuid="mother", exception="Oh('no')", traceback="Trace\n\x1b[2Jend")
        )
        await until(pilot, lambda: "Oh('no')" in text())
        assert "\N{REPLACEMENT CHARACTER}[2Jend" in text()
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(view.screen, Detail))

    operate(view, script)


def test_a_task_is_revoked_after_a_question_only(app):
    view = EventsView(app, enable=False)

    async def script(pilot):
        await pilot.press("r")  # there is no task yet
        assert not isinstance(view.screen, Revocation)
        view.state.event(event("task-received", uuid="one", name="add"))
        view.draw()
        await pilot.press("r")
        await until(pilot, lambda: isinstance(view.screen, Revocation))
        await pilot.press("n")
        await until(pilot, lambda: not isinstance(view.screen, Revocation))
        assert app.broker.revoked() == {}

        await pilot.press("enter", "r")
        await until(pilot, lambda: isinstance(view.screen, Revocation))
        await pilot.press("y")
        await until(pilot, lambda: "one" in app.broker.revoked())

    operate(view, script)


def test_ten_thousand_tasks_are_drawn_in_bounded_time(app):
    state = State()
    for number in range(10_000):
        state.event(event("task-received", uuid=f"id{number}", name=f"proj.task{number % 7}"))
    view = EventsView(app, enable=False, state=state)

    async def script(pilot):
        await until(pilot, lambda: len(column(view, 3)) == MOST_TASKS)
        assert column(view, 3)[0] == "id9999"
        times = []
        for number in range(5):
            state.event(event("task-received", uuid=f"new{number}", name="proj.new"))
            began = time.perf_counter()
            view.draw()
            times.append(time.perf_counter() - began)
        assert min(times) < 0.5  # a drawing; there are two in a second
        await pilot.press("down", "down", "down")
        chosen = view.query_one("#tasks").chosen
        state.event(event("task-received", uuid="newest", name="proj.new"))
        view.draw()
        assert column(view, 3)[0] == "newest"
        assert view.query_one("#tasks").chosen == chosen

    operate(view, script)


def test_what_a_terminal_could_obey_is_not_printed():
    assert printable("plain ünïcode 漢字") == "plain ünïcode 漢字"
    assert printable("a\x1b[31mb\r\n\x07") == "a\ufffd[31mb\ufffd\ufffd\ufffd"
    assert printable("a\n\tb\x9b", lines=True) == "a\n\tb\ufffd"
