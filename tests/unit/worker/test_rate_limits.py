"""How often tasks may start on one node, whatever its processes do."""

import heapq
import os
import signal
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from umbel.exceptions import ImproperlyConfigured
from umbel.worker.rate_limits import EARLIEST, LONGEST, RateLimits, interval_of

RATES = st.sampled_from(["1000/s", "50/s", "10/s", 3, "0.5/s", "100/m", "7/h"])


@given(rate=RATES, pauses=st.lists(st.floats(0, 2), min_size=1, max_size=60))
@settings(deadline=None)
def test_no_window_of_time_holds_more_starts_than_the_rate_allows(rate, pauses):
    limits, now, starts = RateLimits({"a": rate}), 1000.0, []
    for pause in pauses:
        now += pause
        if limits.wait("a", now) == 0:
            starts.append(now)

    interval = interval_of(rate)
    for first, begin in enumerate(starts):
        for last, end in enumerate(starts[first:], first):
            assert last - first <= (end - begin + EARLIEST) / interval + 1e-6


@given(
    rate=st.sampled_from(["1000/s", "10/s", "1/s", "20/m"]),
    count=st.integers(1, 120),
    late=st.floats(0, 0.04),
)
@settings(deadline=None, max_examples=50)
def test_what_is_sent_away_comes_back_when_it_can_start(rate, count, late):
    """As a broker does it: each comes back after its delay, and a little late."""
    limits = RateLimits({"a": rate})
    waiting = [(1000.0, number) for number in range(count)]
    trips, now = 0, 0.0
    while waiting:
        now, number = heapq.heappop(waiting)
        delay = limits.wait("a", now)
        assert 0 <= delay <= LONGEST
        if delay:
            trips += 1
            heapq.heappush(waiting, (now + delay + late, number))

    assert now - 1000 <= (count - 1) * interval_of(rate) + late
    assert trips <= 12 * count


def test_those_that_wait_keep_their_order_as_long_as_each_has_a_moment():
    limits = RateLimits({"a": "10/s"})
    waiting, order = [(1000.0 + number / 1e4, number) for number in range(300)], []
    while waiting:
        now, number = heapq.heappop(waiting)
        delay = limits.wait("a", now)
        if delay:
            heapq.heappush(waiting, (now + delay + 0.002, number))
        else:
            order.append(number)

    assert order == list(range(300))


def test_a_task_without_a_rate_never_waits():
    limits = RateLimits({"free": None, "zero": 0, "none": "0/m", "slow": "1/h"})

    assert [limits.wait(name) for name in ("free", "zero", "none", "slow") * 2][:7] == [0] * 7
    assert limits.wait("slow") > 0
    assert limits.wait("registered later") == 0


def test_the_first_look_tells_whether_any_task_has_a_rate():
    limits = RateLimits({"a": None, "b": None})
    assert not limits.active[0]

    limits.set("b", "5/m")
    assert limits.active[0]

    limits.set("b", None)
    assert not limits.active[0]


def test_a_new_rate_counts_at_once():
    limits = RateLimits({"a": "1/h"})
    assert limits.wait("a", 1000.0) == 0
    assert limits.wait("a", 1001.0) > 1

    limits.set("a", "10/s")
    assert limits.wait("a", 1001.0) == pytest.approx(0.05)
    assert limits.wait("a", 1001.1) == 0

    limits.set("a", 0)
    assert [limits.wait("a", 1001.1) for _ in range(100)] == [0] * 100


def test_moments_that_nobody_came_for_are_forgotten():
    limits = RateLimits({"a": "10/s"})
    for _ in range(200):
        limits.wait("a", 1000.0)
    assert limits.wait("a", 1000.0) > 15

    assert limits.wait("a", 1005.0) == 0  # the others were taken by another node
    assert limits.wait("a", 1005.0) < 0.2
    assert limits.wait("a", 1005.0) < 0.2


def test_processes_share_a_rate():
    limits, processes, ends = RateLimits({"a": "50/s"}), 3, os.pipe()
    began, children = time.monotonic(), []
    for _ in range(processes):
        pid = os.fork()
        if pid == 0:
            while time.monotonic() < began + 0.6:
                if not limits.wait("a"):
                    os.write(ends[1], f"{time.monotonic()!r}\n".encode())
            os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    starts = sorted(float(line) for line in os.read(ends[0], 65536).split())

    assert len(starts) <= (starts[-1] - began + EARLIEST) * 50 + 2  # they write a little later
    assert len(starts) > 1
    os.close(ends[0])
    os.close(ends[1])


def test_the_lock_of_a_process_that_is_killed_is_free():
    limits, ends = RateLimits({"a": "1/h"}), os.pipe()
    holder = os.fork()
    if holder == 0:
        with limits._alone(1):
            os.write(ends[1], b"!")
            time.sleep(60)
    assert os.read(ends[0], 1) == b"!"
    other = os.fork()
    if other == 0:
        os._exit(0 if limits.wait("a") == 0 else 1)
    assert os.waitpid(other, os.WNOHANG) == (0, 0)  # it waits for the lock

    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    assert os.waitpid(other, 0) == (other, 0)
    assert limits.wait("a") > 1
    os.close(ends[0])
    os.close(ends[1])


@pytest.mark.parametrize(
    ("rate", "seconds"),
    [("10/s", 0.1), ("10", 0.1), (10, 0.1), (0.5, 2), ("100/m", 0.6), ("1/h", 3600), ("", 0)],
)
def test_rates_are_written_as_for_celery(rate, seconds):
    assert interval_of(rate) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("rate", "meant"),
    [("10/sec", "'10/s'"), ("5/minute", "'5/m'"), ("1/ hour", "'1/h'"), ("10/x", "'1000/h'")],
)
def test_what_is_no_rate_is_refused_with_the_nearest_that_is(rate, meant):
    with pytest.raises(ValueError, match="is no rate; expected") as refused:
        interval_of(rate)
    assert str(refused.value).endswith(meant + ("" if meant == "'1000/h'" else "?"))


@pytest.mark.parametrize("rate", ["-1/s", "nan", "inf/s", "1/s/s", "often", ["10/s"], object()])
def test_other_values_are_refused(rate):
    with pytest.raises(ValueError, match="is no rate"):
        interval_of(rate)


def test_a_task_with_a_wrong_rate_is_named():
    with pytest.raises(ImproperlyConfigured, match=r"proj\.add: '10/d' is no rate"):
        RateLimits({"proj.add": "10/d"})
