"""What ``import umbel`` offers: a list that grows on purpose only, each name with its docstring."""

from __future__ import annotations

import inspect

import pytest

import umbel

#: The contract with users. Taking a name out breaks them; putting one in is a promise.
PUBLIC_NAMES: tuple[str, ...] = (
    "AsyncResult",
    "Broadcast",
    "Celery",
    "Exchange",
    "Queue",
    "Signature",
    "Task",
    "Umbel",
    "__version__",
    "current_app",
    "current_task",
    "get_task_logger",
    "shared_task",
    "signature",
    "uuid",
)


def test_the_public_names_are_the_pinned_ones() -> None:
    assert sorted(umbel.__all__) == sorted(PUBLIC_NAMES)


@pytest.mark.parametrize("name", PUBLIC_NAMES)
def test_a_public_name_exists_and_says_what_it_is(name: str) -> None:
    value = getattr(umbel, name)

    if inspect.isclass(value) or inspect.isroutine(value):
        assert (inspect.getdoc(value) or "").strip()
