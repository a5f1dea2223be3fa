"""States, services, the clock, and what is current."""

from __future__ import annotations

import asyncio
import logging
import threading
from datetime import UTC, datetime

import pytest

from umbel import current, states
from umbel.clock import SYSTEM, Clock
from umbel.exceptions import ImproperlyConfigured
from umbel.service import Service
from umbel.states import FAILURE, PENDING, RETRY, REVOKED, STARTED, SUCCESS, state

PATIENCE = 10.0


# States -------------------------------------------------------------------------------------------


def test_ready_and_unready_states_are_all_states_and_do_not_overlap():
    assert not states.READY_STATES & states.UNREADY_STATES
    assert states.READY_STATES | states.UNREADY_STATES == states.ALL_STATES
    assert states.PROPAGATE_STATES < states.READY_STATES
    assert states.RETRY in states.EXCEPTION_STATES


def test_states_compare_by_precedence():
    assert state(SUCCESS) > state(FAILURE) > state(REVOKED) > state(STARTED)
    assert state(PENDING) < state(RETRY) < state(STARTED)
    assert state(STARTED) >= STARTED
    assert state(STARTED) <= SUCCESS
    assert not state(SUCCESS) < SUCCESS


def test_a_state_of_ones_own_stands_between_failure_and_revoked():
    assert states.precedence(FAILURE) < states.precedence("PROGRESS") < states.precedence(REVOKED)
    assert state("PROGRESS") > state(STARTED)
    assert state("PROGRESS") < state(FAILURE)


def test_a_state_is_its_name():
    assert state("SUCCESS") == "SUCCESS"
    assert {state("SUCCESS"): 1}["SUCCESS"] == 1


# Clock --------------------------------------------------------------------------------------------


def test_the_system_clock_tells_one_moment_in_two_forms():
    before, aware, after = SYSTEM.now(), SYSTEM.utcnow(), SYSTEM.now()
    assert aware.tzinfo is UTC
    assert before - 0.001 <= aware.timestamp() <= after + 0.001
    assert SYSTEM.monotonic() <= SYSTEM.monotonic()


def test_a_clock_can_stand_still():
    class Stopped(Clock):
        def now(self):
            return 1_000_000_000.0

    assert Stopped().utcnow() == datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)


# Services -----------------------------------------------------------------------------------------


class Patient(Service):
    name = "patient"

    def __init__(self):
        super().__init__()
        self.running = threading.Event()

    def run(self):
        self.running.set()
        assert self._stopping.wait(PATIENCE)


def test_a_service_runs_in_a_thread_of_its_own_until_it_is_stopped():
    service = Patient()
    service.start()
    assert service.running.wait(PATIENCE)
    assert "umbel-patient" in {thread.name for thread in threading.enumerate()}
    assert not service.stopping
    service.stop()
    service.stop()
    service.join(PATIENCE)
    assert "umbel-patient" not in {thread.name for thread in threading.enumerate()}


def test_stopping_and_joining_before_the_start_is_harmless():
    service = Patient()
    service.stop()
    service.join(PATIENCE)
    assert service.stopping


def test_a_service_that_fails_says_so_in_the_log(caplog):
    class Broken(Service):
        name = "broken"

        def run(self):
            raise ValueError("no disk")

    with caplog.at_level(logging.ERROR, "umbel.service"):
        service = Broken()
        service.start()
        service.join(PATIENCE)
    (record,) = caplog.records
    assert "broken" in record.getMessage()


# What is current ----------------------------------------------------------------------------------


@pytest.fixture
def no_app(monkeypatch):
    """Nothing is current, and what was current is so again afterwards."""
    monkeypatch.setattr(current._Shared, "app", None)
    monkeypatch.setattr(current._Shared, "make_default", None)


def in_a_thread(function):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(function()))
    thread.start()
    thread.join(PATIENCE)
    return answers[0]


@pytest.mark.usefixtures("no_app")
class TestCurrentApp:
    def test_without_any_app_the_error_says_how_to_make_one(self):
        assert current.existing_app() is None
        with pytest.raises(ImproperlyConfigured, match=r"app = Umbel\('name'\)"):
            current.current_app()

    def test_the_app_that_was_set_last_is_current_in_every_thread(self):
        current.set_current_app("first")
        in_a_thread(lambda: current.set_current_app("second"))
        assert current.current_app() == "second"
        assert in_a_thread(current.current_app) == "second"

    def test_a_default_app_is_made_when_one_is_asked_for_and_only_once(self):
        made = []
        current.set_default_factory(lambda: made.append("default") or "default")
        assert current.existing_app() is None
        assert current.current_app() == "default"
        assert in_a_thread(current.current_app) == "default"
        assert current.existing_app() == "default"
        assert made == ["default"]

    def test_many_threads_asking_at_once_make_one_default_app(self):
        made = []
        gate = threading.Barrier(8)

        def make():
            made.append(object())
            return made[-1]

        def ask():
            gate.wait(PATIENCE)
            return current.current_app()

        current.set_default_factory(make)
        found = []
        threads = [threading.Thread(target=lambda: found.append(ask())) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert len(made) == 1
        assert found == made * 8

    def test_a_default_app_may_set_itself_while_it_is_made(self):
        def make():
            current.set_current_app("itself")
            return "itself"

        current.set_default_factory(make)
        assert current.current_app() == "itself"

    def test_an_app_that_was_set_goes_before_the_default(self):
        current.set_default_factory(lambda: "default")
        current.set_current_app("own")
        assert current.current_app() == "own"

    def test_use_app_overrides_in_its_block_and_its_thread_only(self):
        current.set_current_app("shared")
        with current.use_app("outer"):
            assert current.current_app() == "outer"
            with current.use_app("inner"):
                assert current.current_app() == "inner"
                assert in_a_thread(current.current_app) == "shared"
            assert current.current_app() == "outer"
        assert current.current_app() == "shared"

    def test_use_app_ends_with_an_error_too(self):
        current.set_current_app("shared")
        with pytest.raises(ValueError, match="no"), current.use_app("other"):
            raise ValueError("no")
        assert current.current_app() == "shared"


class TestCurrentTask:
    def test_outside_of_tasks_nothing_runs(self):
        assert current.current_task() is None
        assert current.current_context() is None
        assert current.outermost_task() is None
        assert current.context_of("add") is None
        current.pop_context()
        assert current.current_task() is None

    def test_a_task_that_calls_another_runs_again_afterwards(self):
        current.push_context("outer", 1)
        current.push_context("inner", 2)
        try:
            assert (current.current_task(), current.current_context()) == ("inner", 2)
            assert current.outermost_task() == "outer"
            assert current.context_of("outer") == 1
        finally:
            current.pop_context()
        assert (current.current_task(), current.current_context()) == ("outer", 1)
        current.pop_context()
        assert current.current_task() is None

    def test_a_task_that_calls_itself_has_the_context_of_the_inner_call(self):
        current.push_context("add", 1)
        current.push_context("add", 2)
        assert current.context_of("add") == 2
        current.pop_context()
        assert current.context_of("add") == 1
        current.pop_context()

    def test_what_runs_in_one_thread_does_not_run_in_another(self):
        current.push_context("add", 1)
        try:
            assert in_a_thread(current.current_task) is None
        finally:
            current.pop_context()

    def test_asyncio_tasks_have_their_own(self):
        async def run(name):
            current.push_context(name, None)
            await asyncio.sleep(0)
            found = current.current_task()
            current.pop_context()
            return found, current.current_task()

        async def both():
            return await asyncio.gather(run("first"), run("second"))

        assert asyncio.run(both()) == [("first", None), ("second", None)]
