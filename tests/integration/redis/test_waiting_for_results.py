"""Waiting for a result: pushed, through restarts, and without traces."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest

from umbel.backends.redis import RedisBackend
from umbel.exceptions import OperationalError
from umbel.testing.conformance.steps import eventually, together
from umbel.testing.messages import record

pytestmark = pytest.mark.redis


@pytest.fixture
def plain(server, opened):
    """Without RESP3."""
    backend = RedisBackend(server.url_of(1), options={"protocol": 2})
    opened.callback(backend.close)
    return backend


@pytest.fixture(params=["pushed", "RESP2"])
def waiting(request, backend, plain):
    return backend if request.param == "pushed" else plain


def channels(server):
    return server.call("PUBSUB", "CHANNELS")


def connections(server) -> int:
    return len(server.call("CLIENT", "LIST").splitlines()) - 1


def later(delay, action):
    timer = threading.Timer(delay, action)
    timer.start()
    return timer


def test_no_subscription_is_left_behind(waiting, backend, server):
    waiting.wait("never", 0.01)
    timer = later(0.05, lambda: backend.store(record("task", result=5)))
    assert waiting.wait("task", 10).result == 5
    timer.join()
    assert waiting.wait("task", 10).result == 5
    assert eventually(lambda: channels(server) == [])


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_result_that_is_too_large_for_a_subscriber_arrives(waiting, backend, server, when):
    """Redis closes connections of subscribers that would have to be sent more than 32 MB."""
    large = record("large", result="x" * 33_000_000)
    if when == "before":
        backend.store(large)
    timer = later(0.0 if when == "before" else 0.2, lambda: backend.store(large))
    assert len(waiting.wait("large", 20).result) == 33_000_000
    timer.join()


def test_an_interrupted_wait_leaves_no_subscription_either(backend, server):
    class Stop(Exception):
        pass

    def interrupt(_):
        raise Stop

    backend.store(record("before"))
    link = backend._pool.take()
    backend._pool.give(link)
    link.wait_readable = interrupt
    with pytest.raises(Stop):
        backend.wait("task", 10)
    assert eventually(lambda: channels(server) == [])


def test_threads_that_wait_leave_no_more_connections_than_they_were(backend, server):
    def wait(number):
        assert backend.wait(f"task-{number}", 10).result == number

    def store():
        other = RedisBackend(server.url_of(1))
        time.sleep(0.1)
        other.store_many([record(f"task-{number}", result=number) for number in range(10)])
        other.close()

    for _ in range(3):
        together(store, *(partial(wait, number) for number in range(10)))
        for number in range(10):
            backend.forget(f"task-{number}")
    assert eventually(lambda: connections(server) <= 10)
    assert eventually(lambda: channels(server) == [])


def test_a_wait_goes_on_after_the_server_was_killed_and_came_back(waiting, server):
    def restart_and_store():
        server.kill()
        server.start()
        other = RedisBackend(server.url_of(1))
        time.sleep(0.2)
        other.store(record("task", result="after"))
        other.close()

    timer = later(0.1, restart_and_store)
    assert waiting.wait("task", 15).result == "after"
    timer.join()


def test_a_result_that_was_stored_while_the_wait_had_no_connection_is_found(
    server, proxy, opened, backend
):
    waiting = RedisBackend(proxy.url.replace("/0", "/1"))
    opened.callback(waiting.close)

    def cut_and_store():
        proxy.strike("lose request", marker=b"SUBSCRIBE")
        proxy.cut()
        proxy.struck.wait(5)
        backend.store(record("task", result="meanwhile"))

    timer = later(0.1, cut_and_store)
    assert waiting.wait("task", 10).result == "meanwhile"
    timer.join()


def test_a_server_that_stays_away_is_an_operational_error_at_the_deadline(waiting, server):
    waiting.load("task")
    server.kill()
    start = time.monotonic()
    with pytest.raises(OperationalError, match="Cannot reach redis://"):
        waiting.wait("task", 0.5)
    assert 0.3 < time.monotonic() - start < 1.5


def test_news_of_one_task_do_not_end_the_wait_for_another(backend, server):
    other = RedisBackend(server.url_of(1))
    timer = later(0.02, lambda: other.store(record("other", result=1)))
    assert backend.wait("task", 0.15) is None
    timer.join()
    assert backend.wait("other", 1).result == 1
    other.close()


def test_a_stream_of_progress_ends_with_the_result(waiting, server):
    other = RedisBackend(server.url_of(1))

    def work():
        for number in range(200):
            other.store(record("task", "PROGRESS", number))
        other.store(record("task", result="done"))

    timer = later(0.05, work)
    assert waiting.wait("task", 10).result == "done"
    timer.join()
    other.close()
