"""``python docs/proofs/run.py NUMBER``: one demonstration with real Celery; prints what it saw.

Needs Celery with its Redis client, and a redis-server program. Umbel is not needed.
"""
# ruff: noqa: INP001, T201 - a script that prints

from __future__ import annotations

import signal
import sys
from pathlib import Path

import celery
import kombu

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # for tests.integration.redis.proxy
import answers
import lost_work
import outages
import workers

DEMONSTRATIONS = {
    name.removeprefix("pain_"): getattr(module, name)
    for module in (lost_work, outages, answers, workers)
    for name in dir(module)
    if name.startswith("pain_")
}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in DEMONSTRATIONS:  # noqa: PLR2004
        sys.exit(f"Which one? {', '.join(sorted(DEMONSTRATIONS, key=int))}")
    print(
        f"celery {celery.__version__}, kombu {kombu.__version__}, Python {sys.version.split()[0]}"
    )
    sys.stdout.reconfigure(line_buffering=True)
    # An end from outside ends what was started here as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    DEMONSTRATIONS[sys.argv[1]]()
