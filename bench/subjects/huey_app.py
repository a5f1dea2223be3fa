"""The tasks of the benchmark, for huey."""

import os
from urllib.parse import urlsplit

from huey import RedisHuey, SqliteHuey

from bench.ledger import Ledger

_broker = os.environ["BENCH_BROKER"]
_results = os.environ.get("BENCH_RESULTS") == "1"
if _broker.startswith("redis"):
    huey = RedisHuey("bench", url=_broker, results=_results)
else:
    huey = SqliteHuey("bench", filename=urlsplit(_broker).path, results=_results)
_ledger = Ledger(os.environ["BENCH_LEDGER"]) if "BENCH_LEDGER" in os.environ else None


@huey.task()
def mark(number):
    if _ledger is not None:
        _ledger.mark(number)
    return number


def enqueue_one_by_one(results, count, start=0):
    for number in range(start, start + count):
        mark(number)


def enqueue_bulk(results, count):
    raise NotImplementedError("huey has no bulk enqueue")


def round_trip(number):
    assert mark(number).get(blocking=True, timeout=10, backoff=1, max_delay=0.001) == number
