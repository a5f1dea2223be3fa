"""The client's side of one measurement, run in the environment of the subject; prints JSON.

python -m bench.client MODULE one|bulk|fill|latency COUNT RESULTS
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
import time


def main() -> None:
    module, action, count, results = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "1"
    subject = importlib.import_module(f"bench.subjects.{module}")
    gc.collect()
    if action == "latency":
        print(json.dumps(latency(subject, count)))
        return
    if action == "one":
        subject.enqueue_one_by_one(results, 200)  # connections and caches are warm
    began = time.perf_counter()
    if action == "bulk":
        subject.enqueue_bulk(results, count)
    else:
        subject.enqueue_one_by_one(results, count)
    seconds = time.perf_counter() - began
    print(json.dumps({"per_second": count / seconds}))


def latency(subject, count: int) -> dict[str, float]:
    for number in range(50):
        subject.round_trip(number)
    times = []
    for number in range(count):
        began = time.perf_counter()
        subject.round_trip(number)
        times.append(time.perf_counter() - began)
        time.sleep(0.002)  # an idle system is measured, not a busy one
    times.sort()
    return {"p50_ms": times[count // 2] * 1000, "p99_ms": times[int(count * 0.99)] * 1000}


if __name__ == "__main__":
    main()
