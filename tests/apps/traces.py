"""The app of ``marks`` with a task whose every run returns something else."""

import os
import time

from tests.apps.marks import app, mark


@app.task(bind=True, name="trace")
def trace(self, tag, seconds):
    """Sleep; the result names this run."""
    run = f"{os.getpid()}-{time.time_ns()}"
    mark("start", tag, self.request.id)
    time.sleep(seconds)
    mark("end", tag, self.request.id)
    return run
