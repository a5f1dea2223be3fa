from __future__ import annotations

import pickle

import pytest

from umbel.app.context import Context
from umbel.result import EagerResult


def test_a_value_is_there_at_once():
    result = EagerResult("id", 5, "SUCCESS", name="proj.add")

    assert result.get() == result.wait() == result.result == result.info == 5
    assert (result.state, result.status, result.name, result.task_id) == (
        "SUCCESS",
        "SUCCESS",
        "proj.add",
        "id",
    )
    assert result.ready()
    assert result.successful()
    assert result.exists()
    assert not result.failed()


def test_an_error_is_raised_or_returned():
    result = EagerResult("id", ValueError("no"), "FAILURE", traceback="Traceback …")

    for ask in (result.get, result.maybe_throw, result.throw):
        with pytest.raises(ValueError, match="no"):
            ask()
    assert result.failed()
    assert isinstance(result.get(propagate=False), ValueError)
    assert result.traceback == "Traceback …"


def test_callbacks_are_called():
    seen = []

    EagerResult("id", 5, "SUCCESS").get(
        callback=lambda task_id, value: seen.append((task_id, value))
    )

    assert seen == [("id", 5)]


def test_there_is_no_error_where_there_is_a_value():
    with pytest.raises(RuntimeError, match="no error to raise"):
        EagerResult("id", 5, "SUCCESS").throw()


def test_what_is_not_kept_is_none():
    result = EagerResult("id", 5, "SUCCESS")

    assert (result.args, result.worker, result.date_done, result.children) == (
        None,
        None,
        None,
        None,
    )
    assert result.locate() is None
    result.forget()


def test_it_is_refused_inside_a_task_as_any_other(app):
    task = app.task(lambda: None, name="x")

    with task.requested(Context(called_directly=False)), pytest.raises(RuntimeError) as refusal:
        EagerResult("id", 5, "SUCCESS").get()
    assert "read `.result`" in str(refusal.value)
    assert "process" not in str(refusal.value)


def test_it_shows_its_id_and_can_be_pickled():
    result = EagerResult("id", 5, "SUCCESS")

    assert repr(result) == "<EagerResult: id>"
    assert pickle.loads(pickle.dumps(result)).get() == 5
