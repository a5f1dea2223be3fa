"""Nasty exceptions cross from worker to caller as data (pain 16 of Celery's users)."""

import pytest
from tests.apps import nasty
from tests.deployment import await_true


def test_every_nasty_exception_fails_its_task_and_no_process(deploy):
    deployment = deploy()
    node = deployment.start("-c", "1", app="tests.apps.nasty")
    app = deployment.app()
    children = node.children()
    results = {name: app.send_task("raise_nasty", args=(name,)) for name in nasty.MAKERS}

    for name, result in results.items():
        result.get(timeout=20, propagate=False)
        assert result.state == "FAILURE", name
        assert type(result.result).__name__ == nasty.NAMES.get(name, name), name
    assert node.children() == children
    await_true(lambda: app.broker.admin.dead_count() == len(results), 5)


def test_the_caller_gets_the_class_that_was_raised(deploy):
    deployment = deploy()
    deployment.start("-c", "1", app="tests.apps.nasty")

    with pytest.raises(nasty.TwoArguments):
        deployment.app().send_task("raise_nasty", args=("TwoArguments",)).get(timeout=10)
