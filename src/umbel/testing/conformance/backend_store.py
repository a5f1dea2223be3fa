"""Chapter one of the result backends: records are kept, replaced, forgotten, and expire."""

# ruff: noqa: PLR2004 - numbers in a test stand where they are compared
from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from umbel.backends.base import ResultBackend
from umbel.message.record import ResultRecord
from umbel.states import FAILURE, PENDING, RETRY, REVOKED, STARTED, SUCCESS
from umbel.testing.conformance.kind import BackendKind
from umbel.testing.conformance.steps import eventually
from umbel.testing.messages import record

__all__ = ["StoreChapter", "error_of", "loaded"]


class StoreChapter(BackendKind):
    """store, load, forget and prune."""

    # store and load -------------------------------------------------------------------------------

    def test_a_stored_record_can_be_loaded_elsewhere(
        self, backend: ResultBackend, second_backend: ResultBackend
    ) -> None:
        backend.store(record("task-1", SUCCESS, 5))
        found = loaded(second_backend, "task-1")
        assert (found.task_id, found.status, found.result) == ("task-1", SUCCESS, 5)

    def test_what_was_never_stored_is_none(self, backend: ResultBackend) -> None:
        assert backend.load("never-seen") is None

    def test_every_field_of_a_finished_task_survives(self, backend: ResultBackend) -> None:
        stored = record(
            "task-1",
            SUCCESS,
            {"rows": 3},
            children=[[["child-1", "task-1"], None], [["child-2", None], None]],
            date_done="2026-11-22T14:07:01.764336+00:00",
            group_id="group-1",
            parent_id="parent-1",
        )
        backend.store(stored)
        found = loaded(backend, "task-1")
        for field in ("status", "result", "traceback", "date_done", "group_id", "parent_id"):
            assert getattr(found, field) == getattr(stored, field), field
        assert plain(found.children) == stored.children

    def test_every_field_of_an_extended_record_survives(self, backend: ResultBackend) -> None:
        stored = record(
            "task-1",
            SUCCESS,
            5,
            date_done="2026-11-22T14:07:01.764336+00:00",
            extended=True,
            name="größe.add",
            args=[2, "drei", None],
            kwargs={"deep": {"a": [1]}},
            worker="celery@host-1",
            retries=2,
            queue="default",
        )
        backend.store(stored)
        found = loaded(backend, "task-1")
        for field in ("name", "worker", "retries", "queue"):
            assert getattr(found, field) == getattr(stored, field), field
        assert plain(found.args) == stored.args
        assert found.kwargs == stored.kwargs

    def test_fields_that_were_not_set_come_back_unset(self, backend: ResultBackend) -> None:
        backend.store(record("task-1", SUCCESS))
        found = loaded(backend, "task-1")
        assert found.result is None
        assert found.traceback is None
        assert found.date_done is None
        assert found.group_id is None
        assert found.parent_id is None
        assert list(found.children) == []

    @pytest.mark.parametrize(
        "value",
        [
            None,
            True,
            0,
            -(2**53),
            1.5,
            "",
            "žluťoučký 🌱 \x00",
            [],
            [1, [2, [3]]],
            {"a": {"b": None}},
            datetime(2026, 11, 22, 14, 7, 1, 764336, tzinfo=UTC),
            Decimal("1.10"),
            UUID("12345678-1234-5678-1234-567812345678"),
            b"\x00\xff",
        ],
        ids=repr,
    )
    def test_a_value_comes_back_as_it_was(self, backend: ResultBackend, value: Any) -> None:
        backend.store(record("task-1", SUCCESS, value))
        found = loaded(backend, "task-1").result
        assert found == value
        assert type(found) is type(value)

    def test_a_result_of_one_megabyte_comes_back(self, backend: ResultBackend) -> None:
        value = ["line ü %d" % number for number in range(100_000)]  # noqa: UP031 - shortest
        backend.store(record("task-1", SUCCESS, value))
        assert loaded(backend, "task-1").result == value

    def test_a_task_id_may_be_any_string(self, backend: ResultBackend) -> None:
        for task_id in ("größe/1 2", "a" * 250, "a:b*c?[d]", "%s"):
            backend.store(record(task_id, SUCCESS, task_id))
        assert loaded(backend, "größe/1 2").result == "größe/1 2"
        assert loaded(backend, "a:b*c?[d]").result == "a:b*c?[d]"
        assert backend.load("a:bXcYd") is None

    @pytest.mark.parametrize("status", [FAILURE, RETRY, REVOKED])
    def test_an_exception_comes_back_with_its_traceback(
        self, backend: ResultBackend, status: str
    ) -> None:
        error = {"exc_type": "ValueError", "exc_message": ["no ü"], "exc_module": "builtins"}
        traceback = 'Traceback (most recent call last):\n  File "x.py"\nValueError: no ü\n'
        backend.store(record("task-1", status, error, traceback=traceback))
        found = loaded(backend, "task-1")
        assert (found.status, found.traceback) == (status, traceback)
        assert {**found.result, "exc_message": plain(found.result["exc_message"])} == error

    def test_a_state_of_ones_own_comes_back_with_its_meta(self, backend: ResultBackend) -> None:
        backend.store(record("task-1", "PROGRESS", {"done": 3, "total": 10}))
        found = loaded(backend, "task-1")
        assert (found.status, found.result) == ("PROGRESS", {"done": 3, "total": 10})

    def test_a_hundred_records_are_stored_in_one_call(
        self, backend: ResultBackend, second_backend: ResultBackend
    ) -> None:
        backend.store_many([])
        backend.store_many([record(f"task-{number}", SUCCESS, number) for number in range(100)])
        assert [loaded(second_backend, f"task-{number}").result for number in range(100)] == list(
            range(100)
        )

    # Which record replaces which ------------------------------------------------------------------

    @pytest.mark.parametrize("unready", [PENDING, STARTED, RETRY, "PROGRESS"])
    @pytest.mark.parametrize("ready", [SUCCESS, FAILURE, REVOKED])
    def test_a_ready_record_is_never_replaced_by_an_unready_one(
        self, backend: ResultBackend, second_backend: ResultBackend, ready: str, unready: str
    ) -> None:
        result = 5 if ready == SUCCESS else error_of("final")
        backend.store(record("task-1", ready, result))
        second_backend.store(record("task-1", unready))
        found = loaded(backend, "task-1")
        assert found.status == ready
        if ready == SUCCESS:
            assert found.result == 5

    def test_that_holds_within_one_call_too(self, backend: ResultBackend) -> None:
        backend.store_many(
            [
                record("task-1", STARTED),
                record("task-2", SUCCESS, 5),
                record("task-1", SUCCESS, 6),
                record("task-2", STARTED),
            ]
        )
        assert loaded(backend, "task-1").result == 6
        assert loaded(backend, "task-2").result == 5

    def test_a_later_ready_record_replaces_an_earlier_one(self, backend: ResultBackend) -> None:
        backend.store(record("task-1", FAILURE, error_of("first"), traceback="Traceback …"))
        backend.store(record("task-1", SUCCESS, "second"))
        found = loaded(backend, "task-1")
        assert (found.status, found.result, found.traceback) == (SUCCESS, "second", None)

    def test_an_unready_record_is_replaced_by_the_next(self, backend: ResultBackend) -> None:
        for status, meta in ((STARTED, None), ("PROGRESS", 1), ("PROGRESS", 2), (STARTED, None)):
            backend.store(record("task-1", status, meta))
            found = loaded(backend, "task-1")
            assert (found.status, found.result) == (status, meta)
        backend.store(record("task-1", SUCCESS, 5))
        assert loaded(backend, "task-1").result == 5

    def test_storing_the_same_record_again_is_harmless(self, backend: ResultBackend) -> None:
        same = record("task-1", SUCCESS, 5, date_done="2026-11-22T14:07:01+00:00")
        backend.store(same)
        before = loaded(backend, "task-1")
        backend.store(same)
        assert loaded(backend, "task-1") == before

    # forget and expire ----------------------------------------------------------------------------

    def test_a_forgotten_record_is_gone(
        self, backend: ResultBackend, second_backend: ResultBackend
    ) -> None:
        backend.store(record("task-1", SUCCESS, 5))
        backend.store(record("task-2", SUCCESS, 6))
        second_backend.forget("task-1")
        assert backend.load("task-1") is None
        assert loaded(backend, "task-2").result == 6
        backend.store(record("task-1", STARTED))
        assert loaded(backend, "task-1").status == STARTED

    def test_forgetting_what_is_not_there_is_harmless(self, backend: ResultBackend) -> None:
        backend.forget("never-seen")
        backend.forget("never-seen")

    def test_an_expired_record_is_gone(self, backend: ResultBackend) -> None:
        backend.store(record("brief", SUCCESS, 5, ttl=0.05))
        backend.store(record("lasting", SUCCESS, 6, ttl=3600.0))
        backend.store(record("eternal", SUCCESS, 7, ttl=None))
        eventually(lambda: backend.load("brief") is None, self.expires_within)
        assert loaded(backend, "lasting").result == 6
        assert loaded(backend, "eternal").result == 7

    def test_an_expired_record_does_not_stand_in_the_way_of_a_new_one(
        self, backend: ResultBackend
    ) -> None:
        backend.store(record("task-1", SUCCESS, 5, ttl=0.05))
        eventually(lambda: backend.load("task-1") is None, self.expires_within)
        backend.store(record("task-1", STARTED))
        assert loaded(backend, "task-1").status == STARTED

    def test_the_time_to_keep_is_that_of_the_last_record(self, backend: ResultBackend) -> None:
        backend.store(record("task-1", STARTED, ttl=0.05))
        backend.store(record("task-1", SUCCESS, 5, ttl=3600.0))
        backend.store(record("other", SUCCESS, 6, ttl=0.05))
        eventually(lambda: backend.load("other") is None, self.expires_within)
        assert loaded(backend, "task-1").result == 5

    def test_pruning_removes_nothing_that_still_counts(self, backend: ResultBackend) -> None:
        backend.store_many([record(f"brief-{number}", SUCCESS, ttl=0.02) for number in range(5)])
        backend.store(record("lasting", SUCCESS, 6))
        backend.store(record("eternal", SUCCESS, 7, ttl=None))
        eventually(lambda: backend.load("brief-4") is None, self.expires_within)
        assert 0 <= backend.prune() <= 5
        assert backend.prune() == 0
        assert loaded(backend, "lasting").result == 6
        assert loaded(backend, "eternal").result == 7


def loaded(backend: ResultBackend, task_id: str) -> ResultRecord:
    """The record, which must be there."""
    found = backend.load(task_id)
    assert found is not None, f"there is no record of {task_id!r}"
    return found


def error_of(message: str) -> dict[str, Any]:
    return {"exc_type": "ValueError", "exc_message": [message], "exc_module": "builtins"}


def plain(value: Any) -> Any:
    """Tuples as lists, since a store may give back either."""
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value
