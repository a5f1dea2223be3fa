"""Chapter two of the result backends: who waits is woken, and many may use one object at once."""

# ruff: noqa: PLR2004 - numbers in a test stand where they are compared
from __future__ import annotations

import os
import threading
import time
from functools import partial
from statistics import median
from typing import Any

import pytest

from umbel.backends.base import ResultBackend
from umbel.states import FAILURE, STARTED, SUCCESS
from umbel.testing.conformance.backend_store import error_of, loaded
from umbel.testing.conformance.kind import BackendKind, ConnectBackend
from umbel.testing.conformance.steps import PATIENCE, fork, leave_after, together
from umbel.testing.messages import record

__all__ = ["WaitingChapter"]

#: A wait that was woken returns far below this.
PROMPT = 2.0


class WaitingChapter(BackendKind):
    """wait; threads, processes, close."""

    # wait -----------------------------------------------------------------------------------------

    def test_waiting_for_what_is_there_returns_at_once(self, backend: ResultBackend) -> None:
        backend.store(record("task-1", FAILURE, error_of("no")))
        start = time.monotonic()
        found = backend.wait("task-1", PATIENCE)
        assert time.monotonic() - start < PROMPT
        assert found is not None
        assert found.status == FAILURE

    def test_waiting_ends_within_moments_of_a_store_elsewhere(
        self, backend: ResultBackend, second_backend: ResultBackend
    ) -> None:
        delays: list[float] = []
        for number in range(7):
            task_id = f"task-{number}"
            stored_at: list[float] = []

            def store(task_id: str = task_id, stored_at: list[float] = stored_at) -> None:
                stored_at.append(time.monotonic())
                second_backend.store(record(task_id, SUCCESS, task_id))

            timer = threading.Timer(0.03, store)
            timer.start()
            found = backend.wait(task_id, PATIENCE)
            delays.append(time.monotonic() - stored_at[0])
            timer.join()
            assert found is not None
            assert found.result == task_id
        assert median(delays) <= self.wakes_within

    def test_an_unready_record_does_not_end_the_wait(
        self, backend: ResultBackend, second_backend: ResultBackend
    ) -> None:
        def store() -> None:
            second_backend.store(record("task-1", STARTED))
            second_backend.store(record("task-1", "PROGRESS", {"done": 1}))
            time.sleep(0.03)
            second_backend.store(record("task-1", SUCCESS, 5))

        timer = threading.Timer(0.02, store)
        timer.start()
        found = backend.wait("task-1", PATIENCE)
        timer.join()
        assert found is not None
        assert (found.status, found.result) == (SUCCESS, 5)

    def test_a_wait_without_limit_ends_with_the_record(
        self, backend: ResultBackend, second_backend: ResultBackend
    ) -> None:
        timer = threading.Timer(0.03, second_backend.store, [record("task-1", SUCCESS, 5)])
        timer.start()
        found = backend.wait("task-1", None)
        timer.join()
        assert found is not None
        assert found.result == 5

    def test_a_wait_gives_up_when_its_time_has_passed(self, backend: ResultBackend) -> None:
        backend.store(record("task-1", STARTED))
        start = time.monotonic()
        assert backend.wait("task-1", 0.1) is None
        assert backend.wait("never-seen", 0.0) is None
        assert 0.09 <= time.monotonic() - start < PROMPT

    def test_waiting_works_again_after_it_gave_up(
        self, backend: ResultBackend, second_backend: ResultBackend
    ) -> None:
        assert backend.wait("task-1", 0.02) is None
        second_backend.store(record("task-1", SUCCESS, 5))
        found = backend.wait("task-1", PATIENCE)
        assert found is not None
        assert found.result == 5

    def test_threads_wait_for_their_own_records_through_one_object(
        self, backend: ResultBackend, second_backend: ResultBackend
    ) -> None:
        results: dict[int, Any] = {}

        def wait(number: int) -> None:
            found = backend.wait(f"task-{number % 6}", PATIENCE)
            results[number] = None if found is None else found.result

        def store() -> None:
            for number in (4, 1, 5, 0, 3, 2):
                second_backend.store(record(f"task-{number}", SUCCESS, number))

        together(store, *(partial(wait, number) for number in range(12)))
        assert results == {number: number % 6 for number in range(12)}

    # Sharing --------------------------------------------------------------------------------------

    def test_threads_store_and_load_through_one_object(self, backend: ResultBackend) -> None:
        def work(thread: int) -> None:
            for number in range(100):
                task_id = f"task-{thread}-{number}"
                backend.store(record(task_id, SUCCESS, number))
                assert loaded(backend, task_id).result == number

        together(*(partial(work, thread) for thread in range(4)))
        assert loaded(backend, "task-3-99").result == 99

    def test_a_backend_goes_on_in_a_forked_child_and_in_its_parent(
        self, backend: ResultBackend
    ) -> None:
        if not self.crosses_processes:
            pytest.skip("the store of this kind lives in one process")
        backend.store(record("before the fork", SUCCESS, 1))
        child = fork()
        if child == 0:
            leave_after(lambda: backend.store(record("in the child", SUCCESS, 2)))
        backend.store(record("in the parent", SUCCESS, 3))
        found = backend.wait("in the child", PATIENCE)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert found is not None
        assert found.result == 2
        assert loaded(backend, "before the fork").result == 1
        assert loaded(backend, "in the parent").result == 3

    def test_a_backend_may_be_used_again_after_it_was_closed(
        self, another_backend: ConnectBackend
    ) -> None:
        backend = another_backend()
        backend.store(record("task-1", SUCCESS, 5))
        backend.close()
        backend.close()
        assert loaded(backend, "task-1").result == 5
        found = backend.wait("task-1", PATIENCE)
        assert found is not None

    def test_the_displayed_url_names_the_kind(self, backend: ResultBackend) -> None:
        assert "://" in backend.display_url
