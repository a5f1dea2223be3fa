"""A whole worker is killed at a random moment and another one takes over (pain 3)."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.chaos.conftest import QUICK
from tests.deployment import Deployment, deployment
from tests.integration.redis.proxy import proxy_to

from umbel.backends.redis import RedisBackend
from umbel.brokers.redis.scripts import exchange_with

TASKS, SECONDS = 12, 0.4
#: Twelve tasks on two processes, and for finding out: the heartbeat limit, two looks, a start.
WITHIN = SECONDS * TASKS / 2 + QUICK["worker_heartbeat_limit"] + 3


@pytest.mark.timeout(240)
def test_nothing_is_lost_when_a_whole_worker_is_killed(kind, new_store, tmp_path, chance, figure):
    rounds = [(n, new_store(), random.Random(chance.random())) for n in range(10)]

    def run(one: tuple[int, str, random.Random]) -> tuple[float, int]:
        number, url, luck = one
        folder = tmp_path / f"round{number}"
        folder.mkdir()
        with deployment(folder, url, url, **QUICK) as made:
            return survive(made, luck)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(run, rounds))
    slowest = max(seconds for seconds, _ in results)
    again = [repeated for _, repeated in results]
    figure(f"10 kills: 0 lost, slowest {slowest:.1f} s, run again per kill {again}")


def survive(made: Deployment, luck: random.Random) -> tuple[float, int]:
    """One round; how long everything took after the kill, and how many tasks ran again."""
    app = made.app()
    first = made.start("-c", "2", name="first")
    results = [app.send_task("work", args=(n, SECONDS)) for n in range(TASKS)]
    time.sleep(luck.uniform(0.05, SECONDS * TASKS / 2 - 0.1))
    killed_at = time.time()
    first.signal_tree(signal.SIGKILL)
    began = time.monotonic()
    running = made.runs.count("start") - made.runs.count("end")
    made.start("-c", "2", name="second")
    for result in results:
        result.get(timeout=WITHIN)
    seconds = time.monotonic() - began

    assert seconds < WITHIN
    ended = made.runs.count("end")
    assert set(ended) == {str(n) for n in range(TASKS)}, "something was lost"
    starts = made.runs.count("start")
    again = {tag for tag, count in starts.items() if count > 1}
    # What had ended in the last moment may not have been settled yet; at most one in each process.
    late = {
        line[3] for line in made.runs.lines() if line[2] == "end" and abs(line[0] - killed_at) < 0.1
    }
    assert again <= set(running) | late
    assert max(starts.values()) <= 2
    return seconds, len(again)


@pytest.mark.redis
@pytest.mark.timeout(120)
def test_a_worker_killed_while_a_message_is_on_its_way_to_it_loses_nothing(
    own_redis, tmp_path, figure
):
    """The server has lent the message; the answer never arrives, since the worker is dead by then."""
    taking = exchange_with(RedisBackend.store_lua).sha.encode()
    lent = []
    with proxy_to(own_redis.port) as proxy:
        for number in range(5):
            own_redis.call("FLUSHALL")
            folder = tmp_path / f"round{number}"
            folder.mkdir()
            client = Deployment(folder, own_redis.url, own_redis.url).app()
            with deployment(folder, proxy.url, proxy.url, **QUICK) as made:
                first = made.start("-P", "solo", name="first")
                killer = threading.Thread(target=kill_when, args=(proxy.struck, first.pid))
                proxy.strike("lose answer", taking)
                killer.start()
                results = [client.send_task("work", args=(n, 0.05)) for n in range(TASKS)]
                killer.join(10)
                assert first.wait(5) == -signal.SIGKILL
                lent.append(sum(one.lent for one in client.broker.admin.consumers()))
                made.start("-c", "2", name="second")
                for result in results:
                    result.get(timeout=WITHIN)
                assert set(made.runs.count("end")) == {str(n) for n in range(TASKS)}
    assert any(lent)
    figure(f"5 kills: 0 lost, messages that were on their way {lent}")


def kill_when(struck: threading.Event, pid: int) -> None:
    assert struck.wait(10)
    os.kill(pid, signal.SIGKILL)
