"""What only the result backend in memory does."""

from __future__ import annotations

import os
import threading
from uuid import uuid4

import pytest

from umbel.backends.memory import MemoryBackend, _Rows
from umbel.clock import Clock
from umbel.drivers.memory import erase, memory
from umbel.exceptions import ContentDisallowed, EncodeError, ImproperlyConfigured
from umbel.states import STARTED, SUCCESS
from umbel.testing.conformance.steps import fork, leave_after
from umbel.testing.messages import record


class Movable(Clock):
    def __init__(self):
        self.moment = 1_000_000_000.0

    def now(self):
        return self.moment


@pytest.fixture
def url():
    url = f"memory://{uuid4()}"
    yield url
    erase(url)


def waiting(url):
    return memory(url).part(_Rows).waiting


def test_the_same_name_means_the_same_store(url):
    MemoryBackend(url).store(record("task-1", SUCCESS, 5))
    assert MemoryBackend(url.replace("memory", "cache+memory", 1)).load("task-1").result == 5
    assert MemoryBackend(f"{url}-other").load("task-1") is None


def test_what_the_serializer_refuses_is_refused_by_name(url):
    backend = MemoryBackend(url)
    with pytest.raises(EncodeError, match=r"record of task task-1\['result'\].*object"):
        backend.store_many([record("task-0"), record("task-1", SUCCESS, object())])
    assert backend.load("task-0") is None


def test_another_serializer_keeps_what_json_cannot(url):
    backend = MemoryBackend(url, serializer="pickle", accept=("pickle",))
    backend.store(record("task-1", SUCCESS, {1, 2}))
    assert backend.load("task-1").result == {1, 2}


def test_content_that_is_not_accepted_is_not_read(url):
    MemoryBackend(url, serializer="pickle", accept=("pickle",)).store(record("task-1"))
    with pytest.raises(ContentDisallowed, match="pickle"):
        MemoryBackend(url).load("task-1")


def test_an_unknown_serializer_is_refused_at_once_with_the_nearest_name(url):
    with pytest.raises(ImproperlyConfigured, match="did you mean 'pickle'"):
        MemoryBackend(url, serializer="pickel")
    with pytest.raises(ImproperlyConfigured, match="did you mean 'json'"):
        MemoryBackend(url, accept=["jsn"])


def test_unknown_options_are_refused_by_name(url):
    with pytest.raises(ImproperlyConfigured, match="visibility_timeout"):
        MemoryBackend(url, options={"visibility_timeout": 60})


def test_a_stored_value_is_a_copy(url):
    backend = MemoryBackend(url)
    value = {"rows": [1]}
    backend.store(record("task-1", SUCCESS, value))
    value["rows"].append(2)
    backend.load("task-1").result["rows"].append(3)
    assert backend.load("task-1").result == {"rows": [1]}


def test_arguments_are_kept_only_in_an_extended_record(url):
    backend = MemoryBackend(url)
    backend.store(record("plain", name="add", worker="celery@here", args=[object()]))
    found = backend.load("plain")
    assert (found.name, found.worker, found.args) == ("add", "celery@here", None)


def test_a_wait_leaves_nothing_behind(url):
    backend = MemoryBackend(url)
    assert backend.wait("task-1", 0.01) is None
    assert waiting(url) == {}
    timer = threading.Timer(0.02, backend.store, [record("task-1", SUCCESS, 5)])
    timer.start()
    assert backend.wait("task-1", 10.0).result == 5
    timer.join()
    assert backend.wait("task-1", 10.0).result == 5
    assert waiting(url) == {}


def test_a_wait_returns_the_record_that_ended_it_even_when_it_was_forgotten_since(url):
    backend = MemoryBackend(url)

    def store_and_forget():
        backend.store(record("task-1", SUCCESS, 5))
        backend.forget("task-1")

    timer = threading.Timer(0.02, store_and_forget)
    timer.start()
    assert backend.wait("task-1", 10.0).result == 5
    timer.join()


def test_pruning_counts_the_expired_records(url):
    clock = Movable()
    backend = MemoryBackend(url, clock=clock)
    backend.store_many([record(f"task-{number}", ttl=10.0 * number) for number in range(1, 6)])
    backend.store(record("eternal", ttl=None))
    clock.moment += 30
    assert backend.prune() == 3
    assert backend.prune() == 0
    assert backend.load("task-3") is None
    assert backend.load("task-4") is not None
    assert backend.load("eternal") is not None


def test_an_expired_ready_record_may_be_replaced_by_an_unready_one(url):
    clock = Movable()
    backend = MemoryBackend(url, clock=clock)
    backend.store(record("task-1", SUCCESS, ttl=10.0))
    clock.moment += 10
    backend.store(record("task-1", STARTED))
    assert backend.load("task-1").status == STARTED


def nothing_is_there(backend):
    assert backend.load("task-1") is None


def test_a_forked_child_begins_with_an_empty_store(url):
    backend = MemoryBackend(url)
    backend.store(record("task-1", SUCCESS, 5))
    child = fork()
    if child == 0:
        leave_after(lambda: nothing_is_there(backend))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert backend.load("task-1").result == 5
