"""The app of ``marks`` with a task that tells how much memory its process holds."""

import ctypes
import gc
import os
import sys
import time

from tests.apps.marks import app


@app.task(name="memory")
def memory():
    """(pid, megabytes, objects) without what is only kept for later use."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/status") as status:  # noqa: PTH123 - not a file on a disk
        [line] = [line for line in status if line.startswith("RssAnon:")]
    time.sleep(0.2)  # so that another process answers the next one
    return os.getpid(), int(line.split()[1]) / 1024, sys.getallocatedblocks()
