"""Tasks and hooks that are in the way of a worker that is told to stop; copies of processes."""

import json
import os
import signal
import time

from tests.apps.marks import app, mark


class Slow(app.Task):
    """Its handler takes its time."""

    def on_success(self, retval, task_id, args, kwargs):
        mark("on_success", "slow", task_id)
        time.sleep(30)


@app.task(name="slow_handler", base=Slow)
def slow_handler():
    return "done"


@app.task(bind=True, name="swallow_exit")
def swallow_exit(self):
    """Go on, whatever is raised."""
    mark("start", "swallow", self.request.id)
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        try:
            time.sleep(0.05)
        except SystemExit:
            mark("swallowed", "swallow", self.request.id)


class Watched(app.Task):
    """Writes down which handlers were called, and in which process."""

    def on_success(self, retval, task_id, args, kwargs):
        mark("on_success", retval, task_id)

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        mark("on_failure", type(exc).__name__, task_id)


@app.task(bind=True, name="fork_and", base=Watched)
def fork_and(self, how):
    """Fork; the copy returns or raises, and the task waits for its end."""
    copy = os.fork()
    if not copy:
        if how == "raise":
            raise ValueError("from the copy")
        return "copy"
    os.waitpid(copy, 0)
    return "original"


@app.task(name="terminate_a_copy")
def terminate_a_copy():
    """End a copy with the signal that ends workers; the signal it died of."""
    read_end, write_end = os.pipe()
    copy = os.fork()
    if not copy:
        os.write(write_end, b"here")
        signal.pause()
        os._exit(0)
    os.read(read_end, 4)
    os.kill(copy, signal.SIGTERM)
    return os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1])


@app.task(bind=True, name="early_limited", acks_late=False, time_limit=1.0)
def early_limited(self):
    mark("start", "early", self.request.id)
    return "done"


if "STUBBORN_SIGNALS" in os.environ:

    def signal_oneself() -> None:
        for name in json.loads(os.environ["STUBBORN_SIGNALS"]):
            os.kill(os.getpid(), signal.Signals[name])

    app.process_started.append(signal_oneself)
