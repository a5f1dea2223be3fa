"""An app whose tasks end in every way that monitors are told of; MARKS_* as in ``marks.py``."""

import json
import os
import time

from umbel import Umbel
from umbel.exceptions import Reject

app = Umbel(
    "watched",
    broker=os.environ["MARKS_BROKER"],
    backend=os.environ.get("MARKS_BACKEND"),
    **json.loads(os.environ.get("MARKS_CONF", "{}")),
)


@app.task(name="add")
def add(x, y):
    return x + y


@app.task(name="fail")
def fail():
    raise ValueError("x")


@app.task(name="again", bind=True)
def again(self):
    if not self.request.retries:
        raise self.retry(exc=ValueError("y"), countdown=0)
    return "ok"


@app.task(name="refuse")
def refuse():
    raise Reject("no", requeue=False)


@app.task(name="private", send_events=False)
def private():
    return None


@app.task(name="progress", bind=True)
def progress(self):
    self.send_event("task-progress", done=3)


@app.task(name="sleep")
def sleep(seconds):
    time.sleep(seconds)
