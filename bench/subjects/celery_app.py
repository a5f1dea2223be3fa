"""The tasks of the benchmark, for Celery."""

import os

from celery import Celery

from bench.ledger import Ledger

app = Celery("bench", broker=os.environ["BENCH_BROKER"], backend=os.environ["BENCH_BACKEND"])
app.conf.broker_connection_retry_on_startup = True
_ledger = Ledger(os.environ["BENCH_LEDGER"]) if "BENCH_LEDGER" in os.environ else None


@app.task(name="mark", ignore_result=True)
def mark(number):
    if _ledger is not None:
        _ledger.mark(number)
    return number


@app.task(name="mark_result")
def mark_result(number):
    if _ledger is not None:
        _ledger.mark(number)
    return number


def enqueue_one_by_one(results, count, start=0):
    delay = (mark_result if results else mark).delay
    for number in range(start, start + count):
        delay(number)


def enqueue_bulk(results, count):
    from celery import group

    task = mark_result if results else mark
    for start in range(0, count, 1000):
        group(task.s(n) for n in range(start, min(start + 1000, count))).apply_async()


def round_trip(number):
    assert mark_result.delay(number).get(timeout=10, interval=0.001) == number
