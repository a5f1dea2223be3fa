"""Chapter three of the result backends: the same questions, asked inside event loops."""

# ruff: noqa: PLR2004 - numbers in a test stand where they are compared
from __future__ import annotations

import asyncio
import os
import threading
import time
from functools import partial

import pytest

from umbel.backends.base import ResultBackend
from umbel.message.record import ResultRecord
from umbel.states import FAILURE, STARTED, SUCCESS
from umbel.testing.conformance.backend_store import error_of
from umbel.testing.conformance.kind import BackendKind, ConnectBackend
from umbel.testing.conformance.steps import PATIENCE, fork, leave_after, together
from umbel.testing.messages import record

__all__ = ["AsyncResultsChapter"]


async def started(backend: ResultBackend, task_id: str) -> asyncio.Task[ResultRecord | None]:
    """Somebody who waits, and has begun to."""
    waiting = asyncio.create_task(backend.wait_async(task_id, PATIENCE))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    return waiting


class AsyncResultsChapter(BackendKind):
    """load_async, wait_async, forget_async."""

    def test_records_are_loaded_and_forgotten_inside_a_loop(self, backend: ResultBackend) -> None:
        backend.store(record("task-1", FAILURE, error_of("no")))

        async def ask() -> None:
            found = await backend.load_async("task-1")
            assert found is not None
            assert found.status == FAILURE
            await backend.forget_async("task-1")
            await backend.forget_async("task-1")
            assert await backend.load_async("task-1") is None

        asyncio.run(ask())

    def test_a_loop_waits_for_what_is_there_and_for_what_comes(
        self, backend: ResultBackend, second_backend: ResultBackend
    ) -> None:
        backend.store(record("there", SUCCESS, 1))

        async def ask() -> None:
            found = await backend.wait_async("there", PATIENCE)
            assert found is not None
            waiting = await started(backend, "comes")
            second_backend.store(record("comes", STARTED))
            second_backend.store(record("comes", SUCCESS, 2))
            found = await waiting
            assert found is not None
            assert (found.status, found.result) == (SUCCESS, 2)

        asyncio.run(ask())

    def test_a_wait_of_a_loop_ends_with_its_time(self, backend: ResultBackend) -> None:
        async def ask() -> None:
            start = time.monotonic()
            assert await backend.wait_async("never", 0.2) is None
            assert 0.15 < time.monotonic() - start < 2.0
            assert await backend.wait_async("never", 0) is None

        asyncio.run(ask())

    def test_the_loop_goes_on_while_a_task_of_it_waits(self, backend: ResultBackend) -> None:
        async def ask() -> None:
            waiting = await started(backend, "task-1")
            longest, before = 0.0, time.monotonic()
            for _ in range(20):
                await asyncio.sleep(0.005)
                longest, before = max(longest, time.monotonic() - before), time.monotonic()
            backend.store(record("task-1", SUCCESS))
            assert await waiting is not None
            assert longest < 1.0

        asyncio.run(ask())

    def test_a_thousand_waits_of_one_loop_use_few_threads(
        self, backend: ResultBackend, second_backend: ResultBackend
    ) -> None:
        async def ask() -> None:
            names = [f"task-{number}" for number in range(1000)]
            waits = [asyncio.create_task(backend.wait_async(name, 4 * PATIENCE)) for name in names]
            await asyncio.sleep(0.1)
            assert threading.active_count() < 20
            second_backend.store_many([record(name, SUCCESS, name) for name in reversed(names)])
            found = await asyncio.gather(*waits)
            assert [one.result for one in found if one is not None] == names

        asyncio.run(ask())

    def test_many_tasks_wait_for_one_record(self, backend: ResultBackend) -> None:
        async def ask() -> None:
            waits = [await started(backend, "task-1") for _ in range(3)]
            waits[0].cancel()
            backend.store(record("task-1", SUCCESS, 7))
            assert [one.result for one in await asyncio.gather(*waits[1:]) if one] == [7, 7]

        asyncio.run(ask())

    def test_who_is_cancelled_disturbs_nobody(self, backend: ResultBackend) -> None:
        async def ask() -> None:
            left = [asyncio.create_task(backend.wait_async(f"a-{n}", None)) for n in range(50)]
            stays = await started(backend, "stays")
            for one in left:
                one.cancel()
            ended = await asyncio.gather(*left, return_exceptions=True)
            assert all(isinstance(one, asyncio.CancelledError) for one in ended)
            backend.store(record("stays", SUCCESS, 1))
            assert await stays is not None
            assert await backend.load_async("a-1") is None

        asyncio.run(ask())

    def test_loops_of_several_threads_share_one_object(self, backend: ResultBackend) -> None:
        def wait(number: int) -> None:
            found = asyncio.run(backend.wait_async(f"task-{number % 2}", PATIENCE))
            assert found is not None
            assert found.result == number % 2

        def store() -> None:
            for number in range(2):
                backend.store(record(f"task-{number}", SUCCESS, number))

        together(store, *(partial(wait, number) for number in range(4)))

    def test_one_loop_after_another(self, backend: ResultBackend) -> None:
        for number in range(4):
            backend.store(record(f"task-{number}", SUCCESS, number))
            found = asyncio.run(backend.wait_async(f"task-{number}", PATIENCE))
            assert found is not None

    def test_a_loop_that_was_given_up_while_it_waited_disturbs_nobody(
        self, backend: ResultBackend
    ) -> None:
        async def leave() -> None:
            await started(backend, "task-1")  # asyncio.run cancels it

        asyncio.run(leave())
        backend.store(record("task-1", SUCCESS, 3))
        found = asyncio.run(backend.wait_async("task-1", PATIENCE))
        assert found is not None

    def test_loops_wait_in_a_forked_child_and_in_its_parent(self, backend: ResultBackend) -> None:
        if not self.crosses_processes:
            pytest.skip("the store of this kind lives in one process")
        backend.store(record("before", SUCCESS, 1))
        assert asyncio.run(backend.wait_async("before", PATIENCE)) is not None
        child = fork()
        if child == 0:
            leave_after(lambda: asyncio.run(self._answer(backend)))
        found = asyncio.run(backend.wait_async("in the child", PATIENCE))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert found is not None
        assert asyncio.run(backend.load_async("before")) is not None

    async def _answer(self, backend: ResultBackend) -> None:
        assert await backend.wait_async("before", PATIENCE) is not None
        backend.store(record("in the child", SUCCESS, 2))

    def test_loops_go_on_after_close(self, another_backend: ConnectBackend) -> None:
        backend = another_backend()
        backend.store(record("task-1", SUCCESS, 5))

        async def ask() -> None:
            assert await backend.wait_async("task-1", PATIENCE) is not None
            backend.close()
            assert await backend.wait_async("task-1", PATIENCE) is not None

        asyncio.run(ask())
