"""What the commands about limits answer, and what they change in the supervisor."""

import pytest

from umbel import Umbel, uuid
from umbel.app.deployment import worker_values
from umbel.events.emitter import Emitter
from umbel.worker.commands.limits import rate_limit, time_limit
from umbel.worker.commands.state import NodeState
from umbel.worker.options import WorkerOptions
from umbel.worker.worker import Worker


@pytest.fixture
def state_of():
    with Umbel("limits", broker=f"memory://{uuid()}", set_as_current=False) as app:

        @app.task(name="proj.add", rate_limit="10/m")
        def add():
            return None

        def make(**settings):
            app.conf.update(settings)
            values = worker_values(app, pool="solo")
            return NodeState(Worker(WorkerOptions(**values), Emitter()))

        yield make


def test_a_rate_is_set_and_told_of_and_removed(state_of):
    state = state_of()
    task = state.worker.options.tasks["proj.add"]
    rates = state.worker.options.rates

    assert rate_limit(state, "proj.add", "1/h") == {"ok": "new rate limit set successfully"}
    assert (task.rate_limit, rates.wait("proj.add"), rates.wait("proj.add") > 0) == ("1/h", 0, True)
    for nothing in (0, "0", None, "0/m", ""):
        assert rate_limit(state, "proj.add", nothing) == {"ok": "rate limit disabled successfully"}
        assert (task.rate_limit, rates.wait("proj.add")) == (None, 0)


@pytest.mark.parametrize(
    ("name", "rate", "said"),
    [
        ("proj.ad", "1/h", "unknown task 'proj.ad'; did you mean 'proj.add'?"),
        (None, "1/h", "unknown task 'None'"),
        ("proj.add", "3/hour", "did you mean '3/h'?"),
        ("proj.add", "-1", "'-1' is no rate"),
        ("proj.add", {"a": 1}, "is no rate"),
    ],
)
def test_what_cannot_be_a_rate_changes_nothing_and_is_explained(state_of, name, rate, said):
    state = state_of()

    assert said in rate_limit(state, name, rate)["error"]
    assert state.worker.options.tasks["proj.add"].rate_limit == "10/m"


def test_a_worker_that_ignores_rates_says_so(state_of):
    state = state_of(worker_disable_rate_limits=True)

    assert "worker_disable_rate_limits" in rate_limit(state, "proj.add", "1/h")["error"]


def test_time_limits_are_set_and_removed(state_of):
    state = state_of()
    task = state.worker.options.tasks["proj.add"]

    for hard, soft in ((10, 5.5), (None, 3), (7, None), (None, None)):
        assert time_limit(state, "proj.add", hard=hard, soft=soft) == {
            "ok": "time limits set successfully"
        }
        assert (task.time_limit, task.soft_time_limit) == (hard, soft)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"hard": "5"}, "hard has to be a number of seconds, not '5'"),
        ({"soft": -1}, "soft has to be a number of seconds, not -1"),
        ({"soft": True}, "soft has to be a number of seconds, not True"),
        ({"hard": float("nan")}, "hard has to be"),
        ({"hard": float("inf")}, "hard has to be"),
        ({"hard": 5, "soft": 10}, "hard (5 s) has to be more than soft (10 s)"),
    ],
)
def test_what_cannot_be_a_limit_changes_nothing(state_of, limits, said):
    state = state_of()

    assert said in time_limit(state, "proj.add", **limits)["error"]
    assert state.worker.options.tasks["proj.add"].time_limit is None


def test_an_unknown_task_is_named_with_the_nearest(state_of):
    assert time_limit(state_of(), "proj.sub", hard=1) == {
        "error": "unknown task 'proj.sub'; did you mean 'proj.add'?"
    }
