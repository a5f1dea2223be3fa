"""Coroutines that are interrupted, and coroutines that plain functions run."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from umbel.coroutines import Runner, Steered, limited, run_once
from umbel.leash import Leash


class Interruption(Exception):
    pass


async def stubborn():
    """Clean up when interrupted, which takes a moment."""
    try:
        await asyncio.sleep(60)
    except Interruption:
        await asyncio.sleep(0.01)
        return "cleaned up"


def test_an_error_is_raised_where_a_coroutine_waits():
    assert asyncio.run(limited(stubborn(), Leash([(0.01, Interruption())]))) == "cleaned up"


def test_an_error_that_is_not_caught_ends_the_coroutine():
    with pytest.raises(Interruption):
        asyncio.run(limited(asyncio.sleep(60), Leash([(0.01, Interruption())])))


def test_a_second_limit_comes_after_the_first():
    async def ignores_the_first():
        try:
            await asyncio.sleep(60)
        except Interruption:
            await asyncio.sleep(60)

    limits = [(0.01, Interruption()), (0.05, TimeoutError())]
    with pytest.raises(TimeoutError):
        asyncio.run(limited(ignores_the_first(), Leash(limits)))


def test_a_coroutine_that_is_faster_is_not_interrupted():
    async def quick():
        await asyncio.sleep(0)
        return 1

    assert asyncio.run(limited(quick(), Leash([(5.0, Interruption())]))) == 1


def test_a_leash_is_pulled_from_another_thread_while_the_coroutine_runs():
    leash = Leash()
    leash.interrupt(Interruption())  # nothing runs yet
    began = threading.Event()

    async def work():
        began.set()
        return await stubborn()

    def pull():
        assert began.wait(10)
        leash.interrupt(Interruption())

    thread = threading.Thread(target=pull)
    thread.start()
    assert asyncio.run(limited(work(), leash)) == "cleaned up"
    thread.join()
    leash.interrupt(Interruption())  # nothing runs any more


def test_an_interrupted_coroutine_can_use_timeouts_and_groups_of_its_own():
    async def work():
        try:
            async with asyncio.timeout(60):
                await asyncio.gather(asyncio.sleep(60), asyncio.sleep(60))
        except Interruption:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await asyncio.sleep(60)
            return "went on"

    assert asyncio.run(limited(work(), Leash([(0.01, Interruption())]))) == "went on"


def test_a_cancelled_coroutine_sees_that_it_was_cancelled():
    async def main():
        steered = Steered(asyncio.sleep(60))

        async def wait():
            await steered

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_a_runner_keeps_the_loop_of_its_thread_and_the_context_of_its_caller():
    name = contextvars.ContextVar("name")
    name.set("caller")
    runner, loops = Runner(), []

    async def look():
        loops.append(asyncio.get_running_loop())
        return name.get()

    def twice():
        assert [runner.run(look()) for _ in range(2)] == ["caller", "caller"]
        runner._own.runner.close()

    context = contextvars.copy_context()
    threads = [threading.Thread(target=context.copy().run, args=(twice,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(loops) == 4
    assert len(set(loops)) == 2


def test_inside_a_running_loop_a_coroutine_gets_a_thread():
    async def inner():
        await asyncio.sleep(0)
        return threading.current_thread()

    async def outer():
        return run_once(inner())

    assert asyncio.run(outer()) is not threading.current_thread()
    assert run_once(inner()) is threading.current_thread()
