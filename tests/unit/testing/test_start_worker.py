"""A worker inside of this process: ``umbel.testing.worker``."""

import asyncio
import gc
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from umbel import Umbel
from umbel.exceptions import ImproperlyConfigured, SoftTimeLimitExceeded
from umbel.testing.worker import start_worker

POOLS = ["solo", "threads", "asyncio"]


@pytest.fixture(params=POOLS)
def pool(request):
    return request.param


@pytest.fixture(params=["memory", "sqlite"])
def app(request, store, tmp_path):
    url = store if request.param == "memory" else f"sqlite:///{tmp_path}/umbel.sqlite3"
    app = Umbel("inside", broker=url, backend=url)

    @app.task(name="add")
    def add(x, y):
        return x + y

    @app.task(name="add_async")
    async def add_async(x, y):
        await asyncio.sleep(0.001)
        return x + y

    @app.task(name="fail")
    def fail():
        raise KeyError("no such thing")

    @app.task(name="nap")
    def nap(seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.005)
        return threading.current_thread().name

    @app.task(name="early", acks_late=False, track_started=True)
    def early():
        return "ran"

    yield app
    app.close()


def test_tasks_run_in_this_process(app, pool):
    with start_worker(app, 2, pool):
        assert app.send_task("add", (2, 3)).get(timeout=10) == 5
        assert app.send_task("add_async", (2, 3)).get(timeout=10) == 5
        assert app.send_task("early").get(timeout=10) == "ran"
        with pytest.raises(KeyError, match="no such thing"):
            app.send_task("fail").get(timeout=10)


def test_a_soft_limit_reaches_a_task_that_is_not_in_the_main_thread(app, pool):
    with start_worker(app, pool=pool):
        result = app.send_task("nap", (10,), soft_time_limit=0.05)
        with pytest.raises(SoftTimeLimitExceeded):
            result.get(timeout=10)
        assert app.send_task("add", (1, 1)).get(timeout=10) == 2


def test_at_the_end_what_runs_has_ended_and_the_rest_waits_on_its_queue(app, pool):
    with start_worker(app, pool=pool) as worker:
        running = app.send_task("nap", (0.2,))
        waiting = app.send_task("add", (1, 1), countdown=60)
        while not worker.worker.board.places[0].running:
            time.sleep(0.001)

    assert running.state == "SUCCESS"
    assert waiting.locate().where == "delayed"
    late = app.send_task("add", (1, 1))
    assert late.locate().where == "ready"
    assert app.broker.admin.consumers() == []


def test_nothing_of_it_is_left(app, pool):
    def threads():
        names = {thread.name for thread in threading.enumerate() if "umbel" in thread.name}
        # Those of callers inside event loops are of the process, and a few more come when needed.
        return {name for name in names if not name.startswith("umbel-offload")}

    def opened():
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    def run():
        with start_worker(app, 2, pool):
            app.send_task("add_async", (2, 3)).get(timeout=10)
            app.send_task("nap", (0,), soft_time_limit=30).get(timeout=10)

    run()  # what the app itself opens, it keeps
    before, files = threads(), opened()
    for _ in range(3):
        run()

    until = time.monotonic() + 10  # threads of an executor end a moment later
    while threads() - before and time.monotonic() < until:
        time.sleep(0.01)
    assert threads() <= before
    assert opened() == files


def test_several_workers_share_the_work(app):
    with start_worker(app, pool="threads") as one, start_worker(app, pool="threads") as other:
        assert one.hostname != other.hostname
        results = [app.send_task("nap", (0.05,)) for _ in range(6)]
        for result in results:
            result.get(timeout=10)


def test_a_worker_may_read_some_queues_only(app):
    with start_worker(app, queues=["letters"]):
        assert app.send_task("add", (1, 1), queue="letters").get(timeout=10) == 2
        elsewhere = app.send_task("add", (1, 1))
        assert app.send_task("add", (1, 2), queue="letters").get(timeout=10) == 3
    assert elsewhere.locate().where == "ready"


def test_an_error_of_the_test_stops_the_worker_too(app):
    with pytest.raises(ZeroDivisionError), start_worker(app) as worker:
        raise ZeroDivisionError

    assert not worker.worker.board.places[0].ready


def test_an_error_of_the_worker_itself_is_raised_on_leaving(app, pool):
    with (
        pytest.raises(RuntimeError, match="ended by an error") as caught,
        start_worker(app, pool=pool) as worker,
    ):
        worker.worker.line.read = None  # "'NoneType' object is not callable", in the loop
        worker.worker.line.drain()
        worker._thread.join(10)

    assert isinstance(caught.value.__cause__, TypeError)


def test_a_task_that_does_not_end_is_reported(app):
    with (
        pytest.raises(RuntimeError, match=r"did not stop within 0\.05 s: a task still runs"),
        start_worker(app, shutdown_timeout=0.05) as worker,
    ):
        app.send_task("nap", (0.4,))
        while not worker.worker.board.places[0].running:
            time.sleep(0.001)
    worker.stop()


def test_pools_that_cannot_be_inside_of_a_process_are_refused(app):
    with pytest.raises(ImproperlyConfigured, match="prefork pool needs processes of its own"):
        start_worker(app, pool="prefork").__enter__()
    with pytest.raises(ImproperlyConfigured, match="gevent has patched"):
        start_worker(app, pool="gevent").__enter__()


def test_a_broker_that_is_not_there_is_an_error_at_once(tmp_path):
    app = Umbel("away", broker=f"sqlite:///{tmp_path}/no/such/folder/umbel.sqlite3")

    with pytest.raises(RuntimeError, match="did not start"):
        start_worker(app).__enter__()
    app.close()


def test_it_touches_neither_signals_nor_the_environment(app):
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    environment = dict(os.environ)
    with start_worker(app):
        app.send_task("add", (1, 1)).get(timeout=10)

    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == before
    assert dict(os.environ) == environment
