"""The Celery app of the demonstrations: tasks that write down when they start and end.

LAB_PORT      port of the private Redis
LAB_LOG       the file that every run appends a line to
LAB_SETTINGS  JSON object of settings
LAB_FUTURE    if set, the worker knows the task "future" as well
LAB_LOGGING   if set, the project sets up logging itself: one JSON object a line
LAB_NASTY     if set, the tasks of tests/apps/nasty.py are registered on this app
"""
# ruff: noqa: ANN001, ANN002, ANN201, INP001 - tasks as a user writes them

import json
import logging
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

from celery import Celery

PORT = os.environ["LAB_PORT"]
app = Celery("lab", broker=f"redis://127.0.0.1:{PORT}/0", backend=f"redis://127.0.0.1:{PORT}/1")
app.conf.update(
    broker_connection_retry_on_startup=True,
    **json.loads(os.environ.get("LAB_SETTINGS", "{}")),
)


def mark(what, tag, task_id):
    line = f"{time.time():.6f} {os.getpid()} {what} {tag} {task_id}\n"
    with Path(os.environ["LAB_LOG"]).open("a") as log:
        log.write(line)


@app.task(bind=True, name="work")
def work(self, tag, seconds=0.0):
    mark("start", tag, self.request.id)
    time.sleep(seconds)
    mark("end", tag, self.request.id)
    return tag


@app.task(bind=True, name="late", acks_late=True)
def late(self, tag, seconds=0.0):
    mark("start", tag, self.request.id)
    time.sleep(seconds)
    mark("end", tag, self.request.id)
    return tag


@app.task(name="spin")
def spin(seconds):
    """Use the processor for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@app.task(name="receive")
def receive(seconds):
    """Wait for what never comes, in one call."""
    mine, _other = socket.socketpair()
    mine.settimeout(seconds)
    with suppress(TimeoutError):
        mine.recv(1)


@app.task(bind=True, name="die")
def die(self, tag, unless=None):
    """Kill the process that runs it, unless the file ``unless`` exists (it is made then)."""
    mark("start", tag, self.request.id)
    if unless is not None:
        path = Path(unless)
        if path.exists():
            mark("end", tag, self.request.id)
            return tag
        path.touch()
    os.kill(os.getpid(), signal.SIGKILL)
    return None


@app.task(name="add")
def add(x, y):
    return x + y


@app.task(name="noop", ignore_result=True)
def noop(*_arguments):
    return None


@app.task(name="fail")
def fail(text):
    raise ValueError(text)


if os.environ.get("LAB_FUTURE"):

    @app.task(name="future")
    def future(number):
        return number


if os.environ.get("LAB_LOGGING"):

    class Lines(logging.Formatter):
        def format(self, record):
            return json.dumps({"from": record.name, "said": record.getMessage()})

    handler = logging.StreamHandler()
    handler.setFormatter(Lines())
    logging.basicConfig(level="INFO", handlers=[handler])


if os.environ.get("LAB_NASTY"):
    sys.path.insert(0, os.environ["LAB_NASTY"])
    sys.modules["tests.apps.marks"] = SimpleNamespace(app=app)
    __import__("tests.apps.nasty")
