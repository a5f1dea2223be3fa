"""The app of ``marks`` with tasks for pools that run several jobs at once."""

import asyncio
import contextvars
import gc
import time

import greenlet
from tests.apps.marks import app, mark

from umbel.exceptions import SoftTimeLimitExceeded
from umbel.service import Service

#: Of a library that keeps what belongs to one request there.
request_id = contextvars.ContextVar("request_id", default=None)


@app.task(name="async_sleep")
async def async_sleep(seconds):
    await asyncio.sleep(seconds)
    return seconds


@app.task(name="sleep")
def sleep(seconds):
    time.sleep(seconds)
    return seconds


@app.task(bind=True, name="who")
def who(self, seconds=0.0):
    """The id that the task sees before and after others ran beside it."""
    before = self.request.id
    time.sleep(seconds)
    return [before, self.request.id]


@app.task(bind=True, name="async_who")
async def async_who(self, seconds=0.0):
    before = self.request.id
    request_id.set(before)
    await asyncio.sleep(seconds)
    return [before, self.request.id, request_id.get()]


@app.task(name="plain_soft", soft_time_limit=0.2)
def plain_soft():
    try:
        for _ in range(500):
            time.sleep(0.01)
    except SoftTimeLimitExceeded:
        return "cleaned up"


@app.task(name="async_soft", soft_time_limit=0.2)
async def async_soft():
    try:
        await asyncio.sleep(10)
    except SoftTimeLimitExceeded:
        await asyncio.sleep(0.01)
        return "cleaned up"


@app.task(name="async_fail")
async def async_fail():
    await asyncio.sleep(0)
    raise LookupError("no such thing")


@app.task(name="async_early", acks_late=False, track_started=True)
async def async_early():
    await asyncio.sleep(0.01)
    return "ran"


@app.task(bind=True, name="async_retry", max_retries=2)
async def async_retry(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0.0)
    return self.request.retries


@app.task(name="async_block")
async def async_block(seconds):
    """What a coroutine should not do: all others wait."""
    time.sleep(seconds)  # noqa: ASYNC251 - this is what is tested
    return "blocked"


@app.task(name="doze")
def doze(seconds):
    """Sleep in small pieces: a thread is interrupted between them."""
    for _ in range(int(seconds * 100)):
        time.sleep(0.01)


@app.task(name="what_was_set")
async def what_was_set(value):
    """What is in the context of a coroutine that has set nothing yet."""
    before = request_id.get()
    request_id.set(value)
    await asyncio.sleep(0.01)
    return before


@app.task(name="async_leave")
async def async_leave():
    await asyncio.sleep(0.01)
    raise SystemExit(3)


@app.task(name="break_the_loop", acks_late=False)
async def break_the_loop():
    def leave():
        raise SystemExit(3)

    asyncio.get_running_loop().call_soon(leave)
    await asyncio.sleep(1)


@app.task(name="loop_of_its_own")
def loop_of_its_own(seconds):
    return asyncio.run(asyncio.sleep(seconds, "slept"))


@app.task(name="inside_a_loop")
def inside_a_loop():
    """Whether libraries take this plain function for a part of a coroutine."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@app.task(name="duties")
def duties():
    """Services that do their work in this process."""
    gc.unfreeze()
    return [
        type(each).__name__
        for each in gc.get_objects()
        if isinstance(each, Service)
        and any(frame.f_locals.get("self") is each for frame in running())
    ]


def running():
    """Frames of greenlets that do something, except those that were put to rest."""
    for each in gc.get_objects():
        if isinstance(each, greenlet.greenlet):
            frame = each.gr_frame
            while frame is not None:
                if frame.f_code.co_name == "run":
                    yield frame
                frame = frame.f_back


@app.task(bind=True, name="async_work")
async def async_work(self, tag, seconds=0.0):
    """As ``work``."""
    mark("start", tag, self.request.id)
    await asyncio.sleep(seconds)
    mark("end", tag, self.request.id)
    return tag


@app.task(bind=True, name="doze_work")
def doze_work(self, tag, seconds=0.0):
    """As ``work``, in small pieces."""
    mark("start", tag, self.request.id)
    for _ in range(int(seconds * 100)):
        time.sleep(0.01)
    mark("end", tag, self.request.id)
    return tag
