"""An app whose tasks write down when they run; configured through the environment.

MARKS_BROKER, MARKS_BACKEND  URLs
MARKS_LOG                    the file that every run appends a line to
MARKS_CONF                   JSON object of further settings
"""

import json
import os
import signal
import time
from pathlib import Path

from umbel import Umbel

app = Umbel(
    "marks",
    broker=os.environ["MARKS_BROKER"],
    backend=os.environ.get("MARKS_BACKEND"),
    **json.loads(os.environ.get("MARKS_CONF", "{}")),
)


def mark(what: str, tag: object, task_id: str | None) -> None:
    line = f"{time.time():.6f} {os.getpid()} {what} {tag} {task_id}\n"
    fd = os.open(os.environ["MARKS_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(fd, line.encode())
    finally:
        os.close(fd)


@app.task(bind=True, name="work")
def work(self, tag, seconds=0.0):
    """Sleep, and write down the start and the end."""
    mark("start", tag, self.request.id)
    time.sleep(seconds)
    mark("end", tag, self.request.id)
    return tag


@app.task(bind=True, name="work_early", acks_late=False)
def work_early(self, tag, seconds=0.0):
    """The same, acknowledged before it starts."""
    mark("start", tag, self.request.id)
    time.sleep(seconds)
    mark("end", tag, self.request.id)
    return tag


@app.task(name="add")
def add(x, y):
    return x + y


@app.task(name="noop", ignore_result=True)
def noop(*_arguments):
    return None


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


@app.task(bind=True, name="flaky", max_retries=5, default_retry_delay=0)
def flaky(self, failures):
    """Fail so many times, then return the number of retries."""
    if self.request.retries < failures:
        raise self.retry(exc=ValueError(f"attempt {self.request.retries}"), countdown=0.05)
    return self.request.retries


@app.task(bind=True, name="swallow", max_retries=1)
def swallow(self):
    """Catch its own Retry: this run succeeds, and the next one runs all the same."""
    mark("start", f"swallow{self.request.retries}", self.request.id)
    try:
        self.retry(countdown=0.05)
    except Exception:
        mark("end", f"swallow{self.request.retries}", self.request.id)
    return self.request.retries


class Handled(app.Task):
    """Writes down which handlers were called, and with what."""

    def before_start(self, task_id, args, kwargs):
        mark("before_start", args[0], task_id)

    def on_success(self, retval, task_id, args, kwargs):
        mark("on_success", retval, task_id)

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        mark("on_retry", type(exc).__name__, task_id)

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        mark("on_failure", type(exc).__name__, task_id)

    def after_return(self, status, retval, task_id, args, kwargs, einfo):
        mark("after_return", status, task_id)


@app.task(bind=True, base=Handled, name="handled", max_retries=1)
def handled(self, what):
    if what == "retry" and self.request.retries == 0:
        raise self.retry(exc=KeyError("again"), countdown=0.01)
    if what == "fail":
        raise ValueError("no")
    return what


@app.task(name="automatic", autoretry_for=(KeyError,), max_retries=2, retry_backoff=0.01)
def automatic():
    raise KeyError("always")


@app.task(name="fail")
def fail(text):
    raise ValueError(text)


@app.task(name="fail_early", acks_late=False)
def fail_early(text):
    raise ValueError(text)


@app.task(bind=True, name="progress")
def progress(self, steps):
    for step in range(steps):
        self.update_state(state="PROGRESS", meta={"step": step})
    return steps


@app.task(name="soft", soft_time_limit=0.3)
def soft():
    time.sleep(30)


@app.task(name="hard", time_limit=0.5)
def hard():
    time.sleep(30)


@app.task(name="spin")
def spin(seconds):
    """Use the processor for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@app.task(name="unserializable")
def unserializable():
    return object()


@app.task(name="leave")
def leave():
    raise SystemExit(3)
