"""The tasks of ``tests/fuzz``; ``app`` is that of FUZZ_URL."""

import asyncio
import os
import time
from typing import Any

from umbel import Umbel


def make_app(url: str) -> Any:
    app = Umbel(
        "fuzzed", broker=url, backend=url, set_as_current=False, dead_letter_max_count=1_000_000
    )

    @app.task(name="sum")
    def add(*args, **kwargs):
        return sum(args)

    @app.task(name="healthy")
    def healthy():
        return "well"

    @app.task(name="nap", soft_time_limit=0.05)
    def nap():
        end = time.monotonic() + 20
        while time.monotonic() < end:
            time.sleep(0.005)

    @app.task(name="nap_async", soft_time_limit=0.05)
    async def nap_async():
        await asyncio.sleep(20)

    @app.task(name="errback")
    def errback(*args):
        return len(args)

    return app


app = make_app(os.environ["FUZZ_URL"]) if "FUZZ_URL" in os.environ else None
