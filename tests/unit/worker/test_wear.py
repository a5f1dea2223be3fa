"""After how many jobs, and above how much memory, a process is to be replaced."""

import mmap
import time

from umbel.worker.wear import WEIGH_EVERY, Wear, resident

LARGE = 64 * 1024 * 1024


def test_a_process_is_worn_after_so_many_jobs():
    wear = Wear(max_jobs=3)

    assert [wear.worn(ran) for ran in range(5)] == [False, False, False, True, True]
    assert wear.left(1) == 2
    assert wear.left(3) == 0


def test_a_process_without_limits_goes_on():
    wear = Wear()

    assert not wear.worn(10**9)
    assert wear.left(10**9) > 10**9


def test_what_a_process_holds_counts_and_what_it_gave_back_does_not():
    before = resident()
    with mmap.mmap(-1, LARGE) as memory:
        memory.write(b"\1" * LARGE)
        held = resident()
    after = resident()

    assert held - before > LARGE / 1024 * 0.9
    assert held - after > LARGE / 1024 * 0.9


def test_a_process_above_the_limit_runs_one_job_all_the_same():
    wear = Wear(max_memory=1)

    assert not wear.worn(0)
    assert wear.left(0) > 0
    assert wear.worn(1)
    assert wear.left(1) == 0


def test_who_was_too_large_once_is_to_be_replaced_for_good():
    limit = resident() + LARGE // 2048
    wear = Wear(max_memory=limit)
    assert not wear.worn(1)
    with mmap.mmap(-1, LARGE) as memory:
        memory.write(b"\1" * LARGE)
        time.sleep(WEIGH_EVERY)
        assert wear.worn(2)

    assert resident() < limit
    assert wear.worn(2)
