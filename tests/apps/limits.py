"""Tasks that keep going in every way that a limit has to deal with."""

import asyncio
import socket
import time

from tests.apps.marks import app


def sleep(seconds):
    time.sleep(seconds)


def compute(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def receive(seconds):
    """Wait for what never comes, in one call into C."""
    mine, other = socket.socketpair()
    with mine, other:
        mine.settimeout(seconds)
        try:
            mine.recv(1)
        except TimeoutError:
            return


WAYS = {"sleep": sleep, "busy": compute, "socket": receive}


@app.task(name="keep_going")
def keep_going(how, seconds):
    """Says that it came to its end also where a limit was raised only then."""
    began = time.monotonic()
    try:
        WAYS[how](seconds)
    except BaseException:
        if time.monotonic() - began < seconds:
            raise
    return f"{how}: to its end"


@app.task(name="wait", time_limit=30)
async def wait(seconds):
    await asyncio.sleep(seconds)
    return "to its end"
