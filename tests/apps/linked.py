"""The app of ``marks`` with callbacks, errbacks, and tasks that fail in ways of their own."""

import os
import signal
import time

from tests.apps.marks import app, mark


@app.task(name="by_id")
def by_id(task_id, tag="by_id"):
    mark("errback", tag, task_id)


@app.task(name="how")
def how(request, exc, traceback):
    mark("how", type(exc).__name__, request.id)


@app.task(name="how_async")
async def how_async(request, exc, traceback):
    mark("how_async", f"{type(exc).__name__}/{request.task}", request.id)


@app.task(bind=True, name="slow_twice", time_limit=0.5, acks_on_timeout=False)
def slow_twice(self):
    """Past its limit, until it has been taken for the third time."""
    deliveries = self.request.message.deliveries
    mark("start", "slow_twice", self.request.id)
    if deliveries < 2:
        time.sleep(30)
    return deliveries


@app.task(name="die_once", reject_on_worker_lost=False)
def die_once():
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(bind=True, name="die_retrying", retry_on_worker_lost=True, default_retry_delay=0.1)
def die_retrying(self):
    if self.request.retries == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return self.request.retries


@app.task(name="not_acked", acks_on_failure=False)
def not_acked():
    mark("start", "not_acked", None)
    raise ValueError("no")


@app.task(bind=True, name="follow")
def follow(self, _value):
    """A callback that writes down whose it is."""
    mark("follow", self.request.parent_id, self.request.id)


@app.task(name="several")
def several():
    yield 1
