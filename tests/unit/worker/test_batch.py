"""How much a process takes ahead."""

from umbel.worker.batch import AHEAD, LARGEST, BatchSize


def grow(batch: BatchSize, runtime: float, times: int = 200) -> int:
    for _ in range(times):
        batch.observe(runtime)
        batch.target()
    return batch.target()


def test_a_new_process_takes_one_message():
    assert BatchSize(slots=1).target() == 1


def test_short_tasks_are_taken_in_large_batches():
    assert grow(BatchSize(slots=1), 0.0) == LARGEST


def test_about_fifty_milliseconds_of_work_are_kept_at_hand():
    assert grow(BatchSize(slots=1), 0.005) in range(int(AHEAD / 0.005) - 2, int(AHEAD / 0.005) + 1)


def test_one_long_task_makes_the_batch_small_at_once():
    batch = BatchSize(slots=1)
    grow(batch, 0.0001)
    batch.observe(2.0)

    assert batch.target() == 1


def test_the_batch_grows_step_by_step():
    batch = BatchSize(slots=1)
    for _ in range(100):
        batch.observe(0.0)

    assert [batch.target() for _ in range(4)] == [4, 16, 64, 250]


def test_every_slot_has_its_own_share():
    assert grow(BatchSize(slots=4), 1.0) == 4


def test_a_fixed_number_is_taken_as_it_is():
    batch = BatchSize(slots=2, fixed=3)
    grow(batch, 5.0)

    assert batch.target() == 6
