"""A client in a process of its own: sends tasks, and writes down each send that was acknowledged.

    python -m tests.chaos.producer LEDGER SECONDS PER_SECOND SEED

A send that raises is not written down, whether its message was kept or not.
"""

from __future__ import annotations

import os
import random
import sys
import time

from umbel import Umbel
from umbel.exceptions import OperationalError


def main() -> None:
    path, seconds, per_second, seed = sys.argv[1:]
    chance = random.Random(seed)
    broker, backend = os.environ["MARKS_BROKER"], os.environ["MARKS_BACKEND"]
    app = Umbel("producer", broker=broker, backend=backend)
    end = time.monotonic() + float(seconds)
    number = 0
    with open(path, "ab", buffering=0) as ledger:  # noqa: PTH123 - one write for each line
        while time.monotonic() < end:
            options = {"countdown": chance.uniform(0, 2)} if chance.random() < 0.2 else {}
            try:
                result = app.send_task(
                    "trace", args=(number, chance.uniform(0, 0.4)), retry=False, **options
                )
            except OperationalError as error:
                print(error, file=sys.stderr)
            else:
                ledger.write(f"{result.id}\n".encode())
            number += 1
            time.sleep(chance.uniform(0, 2 / float(per_second)))


if __name__ == "__main__":
    main()
