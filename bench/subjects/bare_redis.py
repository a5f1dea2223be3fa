"""The limit on Redis: client programs with no task queue in them.

They move the same bytes as Umbel with the same server calls: one script takes 100 messages and
lends them, the program decodes each, calls, and the next script ends the loans and stores the
results (SETEX and PUBLISH), 100 at a time.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Callable

import msgspec
import redis

from bench.ledger import Ledger

BATCH = 100
SCRIPT = """
local loans, queue, results = KEYS[1], KEYS[2], ARGV[1] == '1'
local n = tonumber(ARGV[2])
for i = 1, n do
  local at = 3 + (i - 1) * 3
  redis.call('HDEL', loans, ARGV[at])
  if results then
    redis.call('SETEX', ARGV[at + 1], 86400, ARGV[at + 2])
    redis.call('PUBLISH', ARGV[at + 1], ARGV[at + 2])
  end
end
local taken = redis.call('RPOP', queue, tonumber(ARGV[3 + n * 3]))
if not taken then return {} end
local lent, first = {}, redis.call('INCRBY', KEYS[3], #taken) - #taken
for i = 1, #taken do
  lent[#lent + 1] = first + i
  lent[#lent + 1] = taken[i]
end
redis.call('HSET', loans, unpack(lent))
return lent
"""


def work(url: str, results: bool) -> None:
    """Drain the queue ``celery``, then return."""
    client = redis.Redis.from_url(url)
    script = client.register_script(SCRIPT)
    ledger = Ledger(os.environ["BENCH_LEDGER"])
    tasks = {"mark": ledger.mark, "mark_result": ledger.mark}
    loans = f"bare:loans:{os.getpid()}"
    settled: list[object] = []
    decode, encode = msgspec.json.decode, msgspec.json.encode
    while True:
        count = len(settled) // 3
        lent = script(
            keys=[loans, "celery", "bare:count"], args=[int(results), count, *settled, BATCH]
        )
        if not lent:
            return
        settled = []
        for at in range(0, len(lent), 2):
            envelope = decode(lent[at + 1])
            headers = envelope["headers"]
            args, kwargs, _embed = json.loads(base64.b64decode(envelope["body"]))
            value = tasks[headers["task"]](*args, **kwargs)
            result = encode(
                {
                    "status": "SUCCESS",
                    "result": value,
                    "traceback": None,
                    "children": [],
                    "date_done": "2026-11-22T14:07:01.764336+00:00",
                    "task_id": headers["id"],
                }
            )
            settled += (lent[at], f"celery-task-meta-{headers['id']}", result)


def push_one_by_one(url: str, make: Callable[[int], bytes], count: int) -> None:
    """LPUSH ``count`` messages, one call each."""
    client = redis.Redis.from_url(url)
    for number in range(count):
        client.lpush("bare:queue", make(number))


def push_bulk(url: str, make: Callable[[int], bytes], count: int) -> None:
    """LPUSH ``count`` messages, 1,000 in one call."""
    client = redis.Redis.from_url(url)
    for start in range(0, count, 1000):
        client.lpush("bare:queue", *[make(number) for number in range(start, start + 1000)])


if __name__ == "__main__":
    work(sys.argv[1], sys.argv[2] == "1")
