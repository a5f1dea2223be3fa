"""The tasks of the benchmark, for Umbel."""

import os

from bench.ledger import Ledger
from umbel import Umbel

app = Umbel("bench", broker=os.environ["BENCH_BROKER"], backend=os.environ["BENCH_BACKEND"])
_ledger = Ledger(os.environ["BENCH_LEDGER"]) if "BENCH_LEDGER" in os.environ else None


@app.task(name="mark", ignore_result=True)
def mark(number: int) -> int:
    if _ledger is not None:
        _ledger.mark(number)
    return number


@app.task(name="mark_result")
def mark_result(number: int) -> int:
    if _ledger is not None:
        _ledger.mark(number)
    return number


def enqueue_one_by_one(results: bool, count: int, start: int = 0) -> None:
    delay = (mark_result if results else mark).delay
    for number in range(start, start + count):
        delay(number)


def enqueue_bulk(results: bool, count: int) -> None:
    task = mark_result if results else mark
    task.delay_many((number,) for number in range(count))


def round_trip(number: int) -> None:
    assert mark_result.delay(number).get(timeout=10) == number
