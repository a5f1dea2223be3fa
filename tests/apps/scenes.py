"""The tasks of ``tests/scenarios``. ``app`` is configured through the environment as that of ``marks``;
``make_app`` makes another one, for a client or for a worker in the same process."""

import asyncio
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from umbel import Umbel
from umbel.exceptions import Ignore, Reject, SoftTimeLimitExceeded

#: Of every app: results of deep or odd things, quick heartbeats.
CONF = {
    "worker_heartbeat_interval": 0.5,
    "worker_heartbeat_limit": 5.0,
    "result_extended": True,
}


class OddError(Exception):
    """Neither its arguments nor itself can be sent anywhere."""

    def __init__(self, thing: object, *, code: int) -> None:
        super().__init__(thing)
        self.code = code
        self.lock = threading.Lock()

    def __str__(self) -> str:
        return f"odd {self.code}"


def mark(what: str) -> None:
    """Write down that something happened, in one line."""
    with Path(os.environ["SCENES_LOG"]).open("a", encoding="utf-8") as file:
        file.write(f"{time.time():.6f} {os.getpid()} {what}\n")


def doze(seconds: float) -> None:
    """Sleep in small pieces: a thread is interrupted between them."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.01)


def make_app(url: str) -> Any:
    app = Umbel("scenes", broker=url, backend=url, set_as_current=False, **CONF)
    add_ends(app)
    add_retries(app)
    add_waits(app)
    add_oddities(app)
    add_kinds(app)
    add_links(app)
    return app


def add_ends(app: Any) -> None:  # noqa: C901 - a list of tasks
    """Ways to end."""

    @app.task(name="give")
    def give(value):
        return value

    @app.task(name="fail")
    def fail(text):
        raise ValueError(text)

    @app.task(name="fail_oddly")
    def fail_oddly():
        raise OddError(object(), code=7)

    @app.task(bind=True, name="ignore")
    def ignore(self):
        self.update_state(state="MINE", meta={"left": "alone"})
        raise Ignore

    @app.task(name="reject")
    def reject():
        mark("reject")
        raise Reject("not here")

    @app.task(bind=True, name="reject_once")
    def reject_once(self):
        path = Path(f"{os.environ['SCENES_LOG']}.{self.request.id}")
        if not path.exists():
            path.touch()
            raise Reject("come back", requeue=True)
        return "the second time"

    @app.task(name="leave")
    def leave():
        raise SystemExit(3)

    @app.task(name="fail_early", acks_late=False)
    def fail_early():
        raise KeyError("early")

    @app.task(name="silent", ignore_result=True)
    def silent(tag):
        mark(tag)
        return "nobody asks"

    @app.task(name="silent_but_errors", ignore_result=True, store_errors_even_if_ignored=True)
    def silent_but_errors():
        raise ValueError("kept all the same")

    @app.task(bind=True, name="die_once")
    def die_once(self):
        path = Path(f"{os.environ['SCENES_LOG']}.{self.request.id}")
        if not path.exists():
            path.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return "the second time"


def add_retries(app: Any) -> None:
    @app.task(bind=True, name="flaky", max_retries=3)
    def flaky(self, failures):
        if self.request.retries < failures:
            raise self.retry(exc=ValueError(f"run {self.request.retries}"), countdown=0.02)
        return self.request.retries

    @app.task(name="flaky_by_itself", autoretry_for=(KeyError,), max_retries=2, retry_backoff=0.02)
    def flaky_by_itself():
        mark("flaky_by_itself")
        raise KeyError("always")


def add_waits(app: Any) -> None:  # noqa: C901 - a list of tasks
    """Limits, and what waits."""

    @app.task(name="soft_caught", soft_time_limit=0.15)
    def soft_caught():
        try:
            doze(10)
        except SoftTimeLimitExceeded:
            return "cleaned up"

    @app.task(name="soft", soft_time_limit=0.15)
    def soft():
        doze(10)

    @app.task(name="hard", time_limit=0.3)
    def hard():
        doze(0.8)
        return "nobody ended it"

    @app.task(name="soft_async", soft_time_limit=0.15)
    async def soft_async():
        await asyncio.sleep(10)

    @app.task(name="stay")
    def stay(tag):
        mark(tag)
        doze(20)

    @app.task(name="stay_async")
    async def stay_async(tag):
        mark(tag)
        await asyncio.sleep(20)

    @app.task(name="note")
    def note(tag):
        mark(tag)
        return time.time()

    @app.task(name="slowly", rate_limit="5/s")
    def slowly(number):
        mark("slowly")
        return number

    @app.task(bind=True, name="progress")
    def progress(self, steps):
        seen = []
        for step in range(steps):
            self.update_state(state="PROGRESS", meta={"step": step})
            seen.append(self.AsyncResult(self.request.id).info["step"])
        return seen


def add_oddities(app: Any) -> None:
    """Results and calls that cannot be as they are."""

    @app.task(name="generate")
    def generate():
        yield 1

    @app.task(name="generate_async")
    async def generate_async():
        yield 1

    @app.task(name="unserializable")
    def unserializable():
        return {"a": [1, object()]}

    @app.task(name="length")
    def length(text):
        return len(text)

    @app.task(name="much")
    def much(size):
        return "x" * size

    @app.task(bind=True, name="who")
    def who(self, *args, **kwargs):
        request = self.request
        return {
            "id": request.id,
            "task": request.task,
            "args": list(request.args),
            "kwargs": dict(request.kwargs),
            "retries": request.retries,
            "root": request.root_id,
            "queue": request.delivery_info["routing_key"],
            "tenant": request.get("tenant"),
            "shadow": request.shadow,
            "eager": bool(request.is_eager),
            "hostname": request.hostname,
        }

    @app.task(name="give_async")
    async def give_async(value):
        await asyncio.sleep(0.001)
        return value

    @app.task(name="fail_async")
    async def fail_async():
        await asyncio.sleep(0.001)
        raise LookupError("no such thing")


def add_kinds(app: Any) -> None:  # noqa: C901 - a list of tasks
    class Handled(app.Task):
        """Its handlers write down that they were called."""

        def before_start(self, task_id, args, kwargs):
            mark(f"before {task_id}")
            if "not even begun" in args:
                raise RuntimeError("not even begun")

        def on_success(self, retval, task_id, args, kwargs):
            mark(f"success {task_id}")

        def on_retry(self, exc, task_id, args, kwargs, einfo):
            mark(f"retry {task_id}")

        def on_failure(self, exc, task_id, args, kwargs, einfo):
            mark(f"failure {task_id}")

        def after_return(self, status, retval, task_id, args, kwargs, einfo):
            mark(f"after {task_id}")

    @app.task(bind=True, base=Handled, name="handled", max_retries=1)
    def handled(self, what):
        if what == "retry" and not self.request.retries:
            raise self.retry(countdown=0.01)
        if what == "fail":
            raise ValueError("no")
        return what

    class Doubled(app.Task):
        def __call__(self, *args, **kwargs):
            return 2 * super().__call__(*args, **kwargs)

    @app.task(base=Doubled, name="doubled")
    def doubled(x):
        return x


def add_links(app: Any) -> None:
    @app.task(name="follow")
    def follow(value, tag):
        mark(f"{tag} {value}")

    @app.task(name="errback_by_id")
    def errback_by_id(task_id):
        mark(f"failed {task_id}")

    @app.task(name="errback_by_request")
    def errback_by_request(request, exc, traceback, tag):
        mark(f"{tag} {request.id} {type(exc).__name__} {'in fail' in (traceback or '')}")


app = make_app(os.environ["SCENES_URL"]) if "SCENES_URL" in os.environ else None
