"""Watching from outside: ``umbel events`` as a user starts it, receivers and servers that come and go."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pty
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.deployment import ROOT, await_true

from umbel import Umbel
from umbel.cli.events_view import EventsView
from umbel.events.state import State


def event(kind: str, **fields):
    return {"type": kind, "hostname": "w1@h", "timestamp": time.time(), **fields}


@contextmanager
def started(deployment, *arguments: str, **env: str):
    """A command line in a process of its own, killed at the end if it has not ended."""
    process = subprocess.Popen(
        deployment.command(*arguments),
        env={**deployment.env, **env},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def test_each_event_is_a_line_until_it_is_interrupted(deploy):
    deployment = deploy()
    with started(deployment, "events", "--dump", "--json") as dump:
        assert b"Listening to events on" in dump.stderr.readline()
        bus = deployment.app().broker.bus
        several = [
            event("task-received", uuid="one", name="add"),
            event("task-started", uuid="one"),
        ]
        bus.publish("celeryev/task.multi", several)
        lines = [json.loads(dump.stdout.readline()) for _ in several]
        assert [(line["type"], line["uuid"]) for line in lines] == [
            ("task-received", "one"),
            ("task-started", "one"),
        ]
        dump.send_signal(signal.SIGINT)
        assert dump.wait(20) == 0
        assert dump.stderr.read() == b""


def test_a_dump_whose_reader_has_gone_ends_quietly(deploy):
    deployment = deploy()
    with started(deployment, "events", "--dump", "--passive") as dump:
        dump.stderr.readline()
        dump.stdout.close()
        bus = deployment.app().broker.bus
        bus.publish("celeryev/worker.online", event("worker-online"))
        assert dump.wait(20) == 0
        assert dump.stderr.read() == b""


def test_the_programs_of_celerys_manual_run_as_they_are_written(deploy):
    app = deploy().app()
    state = State()
    failed = []

    def announce_failed_tasks(event):
        state.event(event)
        failed.append(state.tasks.get(event["uuid"]))
        recv.should_stop = True

    with app.connection() as connection:
        recv = app.events.Receiver(
            connection, handlers={"task-failed": announce_failed_tasks, "*": state.event}
        )
        recv.on_listening = lambda: app.broker.bus.publish(
            "celeryev/task.multi",
            [
                event("task-received", uuid="one", name="add", args="(1, 2)", clock=3),
                event("task-failed", uuid="one", exception="Oh()", clock=4),
            ],
        )
        recv.capture(limit=None, timeout=20, wakeup=True)

    [task] = failed
    assert (task.name, task.state, task.info()["exception"]) == ("add", "FAILURE", "Oh()")
    assert [worker.hostname for worker in state.alive_workers()] == ["w1@h"]
    app.close()


@pytest.mark.redis
def test_after_a_lost_connection_it_listens_anew_and_says_so_once(redis_server, caplog):
    app = Umbel("watch", broker=redis_server.url, set_as_current=False)
    heard = []
    receiver = app.events.Receiver(handlers={"*": lambda one: heard.append(one["number"])})
    listening = threading.Event()
    receiver.on_listening = listening.set
    thread = threading.Thread(target=receiver.capture)
    with caplog.at_level(logging.INFO, "umbel.events"):
        thread.start()
        assert listening.wait(20)
        app.broker.bus.publish("celeryev/x", event("x-y", number=1))
        await_true(lambda: heard == [1], 20)

        listening.clear()
        redis_server.kill()
        await_true(lambda: "Lost the broker" in caplog.text, 20)
        redis_server.start()
        assert listening.wait(20)
        app.broker.bus.publish("celeryev/x", event("x-y", number=2))
        await_true(lambda: heard == [1, 2], 20)
    receiver.should_stop = True
    thread.join(20)

    assert caplog.text.count("Lost the broker") == 1
    assert caplog.text.count("Listening to events again") == 1
    app.close()


def on_a_terminal(
    deployment, *arguments: str, keys: str, after: str, **env: str
) -> tuple[int, str]:
    """Exit code and screen of a command on a terminal, where ``keys`` are pressed when ``after`` is seen."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        deployment.command(*arguments),
        env={**deployment.env, "TERM": "xterm-256color", "COLUMNS": "140", "LINES": "30", **env},
        cwd=ROOT,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    seen = b""
    try:
        while True:
            try:
                part = os.read(master, 65536)
            except OSError:  # the other side was closed
                break
            seen += part
            if keys and after.encode() in seen:
                os.write(master, keys.encode())
                keys = ""
        return process.wait(20), seen.decode(errors="replace")
    finally:
        process.kill()
        process.wait()
        os.close(master)


def test_the_live_view_comes_up_on_a_terminal_and_goes_with_a_key(deploy):
    code, screen = on_a_terminal(deploy(), "events", keys="q", after="events/s")

    assert code == 0, screen
    assert "Processed" in screen
    assert "Traceback" not in screen


@pytest.mark.parametrize("kind", ["sqlite"])
def test_without_a_terminal_or_without_textual_it_says_what_to_do(deploy, tmp_path: Path):
    deployment = deploy()
    refused = deployment.run("events")
    assert (refused.returncode, refused.stderr) == (
        1,
        "Error: The live view needs a terminal; `umbel events --dump` prints lines anywhere\n",
    )

    missing = tmp_path / "without"
    missing.mkdir()
    (missing / "textual.py").write_text("raise ModuleNotFoundError('gone', name='textual')")
    path = os.pathsep.join([str(missing), deployment.env["PYTHONPATH"]])
    code, said = on_a_terminal(deployment, "events", keys="", after="", PYTHONPATH=path)
    assert code == 1
    assert "pip install 'umbel[events]'" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--json"], "--json goes with --dump"),
        (
            ["--dump", "--detach"],
            "--detach, --pidfile, --logfile and --log-format go with --camera",
        ),
        (["--dump", "--camera", "x.Y"], "--dump and --camera exclude each other"),
        (["--camera", "tests.nothing.Camera"], "Cannot import the camera 'tests.nothing.Camera'"),
        (["--camera", "tests.deployment.Runs"], "is no camera: it should be a subclass of"),
        (["-c", "umbel.events.snapshot.Polaroid", "-r", "x"], "maxrate 'x' is no rate"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(deploy, arguments, message):
    refused = deploy().run("events", *arguments)

    assert refused.returncode == 2
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_camera_is_run_until_it_is_ended(deploy, tmp_path: Path, end: signal.Signals):
    (tmp_path / "darkroom.py").write_text(
        "from umbel.events.snapshot import Polaroid\n\n\n"
        "class Camera(Polaroid):\n"
        "    def on_shutter(self, state):\n"
        "        print('picture', sorted(state.tasks), flush=True)\n"
    )
    deployment = deploy()
    path = os.pathsep.join([str(tmp_path), deployment.env["PYTHONPATH"]])
    pidfile = tmp_path / "camera.pid"
    command = ("events", "-c", "darkroom.Camera", "-F", "0.1", "--pidfile", str(pidfile))
    with started(deployment, *command, PYTHONPATH=path) as camera:
        assert b"Taking snapshots with darkroom.Camera" in camera.stdout.readline()
        bus = deployment.app().broker.bus
        line = b""
        while b"one" not in line:
            bus.publish("celeryev/task.sent", event("task-sent", uuid="one"))
            line = camera.stdout.readline()
        assert line == b"picture ['one']\n"
        assert int(pidfile.read_text()) == camera.pid
        camera.send_signal(end)
        assert camera.wait(20) == 0
        assert camera.stderr.read() == b""
        assert not pidfile.exists()


def test_a_worker_that_tells_nothing_begins_to_tell_when_somebody_watches(deploy):
    deployment = deploy()
    deployment.start("-c", "1")
    app = deployment.app()
    with started(deployment, "events", "--dump", "--json") as dump:
        dump.stderr.readline()
        lines = []
        reader = threading.Thread(
            target=lambda: lines.extend(json.loads(line) for line in dump.stdout), daemon=True
        )
        reader.start()
        state = State()

        def seen() -> bool:
            # Whoever was received before the worker was asked to tell is not told of.
            app.send_task("add", args=(2, 3)).get(timeout=20)
            for line in lines[state.event_count :]:
                state.event(line)
            whole = [task for task in state.tasks.values() if task.received and task.succeeded]
            return any(task.name == "add" and task.result == "5" for task in whole)

        await_true(seen, 30)
        worker = state.tasks_by_type["add"].pop().worker
        assert worker.hostname == "node0@test"
        assert worker.alive
        dump.send_signal(signal.SIGINT)
        assert dump.wait(20) == 0
        reader.join(20)
    app.close()


def test_a_running_task_is_found_in_the_view_and_ended(deploy):
    deployment = deploy()
    deployment.start("-c", "1")
    app = deployment.app()
    view = EventsView(app)

    def shown() -> list[str]:
        rows = view.query_one("#tasks")
        return [str(rows.get_row_at(row)[1]) for row in range(rows.row_count)]

    def told_of() -> bool:
        # Whoever was received before the worker was asked to tell is not told of.
        app.send_task("add", args=(2, 3)).get(timeout=20)
        return bool(shown()) and view.query_one("#workers").row_count == 1

    async def until(pilot, condition) -> None:
        deadline = time.monotonic() + 40
        while not condition():
            assert time.monotonic() < deadline, f"the view never showed it: {shown()}"
            await pilot.pause(0.02)

    async def operate() -> None:
        async with view.run_test(size=(140, 30)) as pilot:
            await until(pilot, told_of)
            await pilot.press("slash", *"work", "enter")
            result = app.send_task("work", args=("long", 60))
            await until(pilot, lambda: shown() == ["STARTED"])
            await pilot.press("r", "t")
            await until(pilot, lambda: shown() == ["REVOKED"])
            assert result.status == "REVOKED"

    asyncio.run(operate())
    app.close()
