"""Tasks that do what tasks should not."""

import asyncio
import os
import subprocess
import sys
import time

from tests.apps.marks import app, mark

shared = []


@app.task(name="alias")
def alias(number):
    """Return an object that the next run changes."""
    shared.append(number)
    return shared


@app.task(name="huge_number")
def huge_number():
    return 10**5000


@app.task(bind=True, name="retry_with_an_odd_header")
def retry_with_an_odd_header(self):
    raise self.retry(headers={"x": object()})


@app.task(name="cancelled")
def cancelled():
    raise asyncio.CancelledError


@app.task(name="interrupted")
def interrupted():
    raise KeyboardInterrupt


@app.task(name="throws_a_list", throws=[ValueError])
def throws_a_list():
    raise ValueError("expected")


@app.task(name="tracked", track_started=True)
def tracked():
    return "done"


@app.task(name="stop_the_loop")
async def stop_the_loop():
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0.01)
    return "gone on"


@app.task(name="fork")
def fork():
    """Return twice."""
    return os.fork() == 0


@app.task(name="terminate_a_program")
def terminate_a_program():
    """Seconds until a program that was told to end has ended."""
    program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(20)"])
    time.sleep(0.3)
    began = time.monotonic()
    program.terminate()
    program.wait()
    return time.monotonic() - began


@app.task(name="early_hard", acks_late=False, time_limit=0.5)
def early_hard():
    time.sleep(30)


@app.task(bind=True, name="early_die", acks_late=False)
def early_die(self):
    mark("start", "early", self.request.id)
    os.kill(os.getpid(), 9)
