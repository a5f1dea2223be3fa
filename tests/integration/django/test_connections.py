"""What workers do with Django's connections, seen from inside tasks."""

from __future__ import annotations

import pytest
from tests.integration.django.conftest import Project


def test_each_task_has_a_connection_of_its_own(project: Project) -> None:
    project.worker("-c", "1")

    first, second = project.call("orders.tasks.look"), project.call("orders.tasks.look")

    assert first["pid"] == second["pid"]
    assert (first["connections"], second["connections"]) == (1, 2)


def test_a_connection_that_may_persist_does(project: Project) -> None:
    project.worker("-c", "1", PERSISTENT="yes")

    seen = [project.call("orders.tasks.look")["connections"] for _ in range(3)]

    assert seen == [1, 1, 1]


def test_caches_are_told_that_a_task_is_over(project: Project) -> None:
    project.worker("-c", "1")

    seen = [project.call("orders.tasks.look")["caches_closed"] for _ in range(3)]

    assert seen == [0, 1, 2]


def test_a_connection_that_a_task_spoiled_is_not_met_by_the_next(project: Project) -> None:
    project.worker("-c", "1", PERSISTENT="yes")

    project.call("orders.tasks.spoil")
    after = project.call("orders.tasks.look")

    # The first connection had an open transaction, which holds SQLite's only write lock.
    assert (after["connections"], after["orders"]) == (2, 0)


def test_queries_are_not_collected_for_ever_in_debug_mode(project: Project) -> None:
    project.worker("-c", "1", PERSISTENT="yes", DEBUG="yes")

    seen = [project.call("orders.tasks.look")["queries"] for _ in range(3)]

    assert seen == [1, 1, 1]


def test_no_connection_is_inherited_from_the_process_that_forks(project: Project) -> None:
    project.worker("-c", "2", PERSISTENT="yes", CONNECT_EARLY="yes")

    for _ in range(4):
        seen = project.call("orders.tasks.look")
        assert not seen["inherited"]
        # One in the parent, counted before the fork, and one here.
        assert seen["connections"] == 2


def test_a_solo_worker_begins_without_connections_too(project: Project) -> None:
    project.worker("-P", "solo", CONNECT_EARLY="yes")

    seen = project.call("orders.tasks.look")

    assert not seen["inherited"]
    assert seen["connections"] == 2


@pytest.mark.parametrize("pool", ["asyncio", "prefork", "gevent"])
def test_a_coroutine_has_connections_of_its_own_which_end_with_it(
    project: Project, pool: str
) -> None:
    project.worker("-P", pool, "-c", "1")

    seen = [project.call("orders.tasks.look_async") for _ in range(2)]

    assert [one["orders"] for one in seen] == [[0, 0]] * 2
    assert [one["opened"] for one in seen] == [1, 2]
    assert [one["held"] for one in seen] == [1, 1]
