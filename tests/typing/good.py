"""Everything here is right: ``mypy --strict`` finds nothing, and knows these types."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import assert_type

from umbel import AsyncResult, Celery, Task, Umbel, shared_task
from umbel.result import EagerResult

app = Umbel("proj", broker="memory://")


@app.task
def add(x: int, y: int = 0) -> int:
    return x + y


@app.task(name="proj.greet", max_retries=5, queue="slow", autoretry_for=(OSError,))
def greet(name: str, *, loudly: bool = False) -> str:
    return name.upper() if loudly else name


@app.task(bind=True)
def fetch(self: Task[..., str], url: str) -> str:
    if not url:
        raise self.retry(countdown=5, exc=ValueError(url))
    self.update_state(state="PROGRESS", meta={"url": url})
    return str(self.request.id)


@shared_task
def count(words: list[str]) -> dict[str, int]:
    return {word: words.count(word) for word in words}


@shared_task(bind=True, ignore_result=True)
def note(self: Task[..., None], text: str) -> None:
    print(self.name, text)


class Report(Task[[int], str]):
    name = "report"

    def run(self, number: int) -> str:
        return str(number)


class Patient(Task[..., object]):
    max_retries = None
    acks_late = True


@app.task(base=Patient)
def wait(seconds: float) -> None:
    print(seconds)


report = app.register_task(Report())

assert_type(add(2, 3), int)
assert_type(add.delay(2, y=3), AsyncResult[int])
assert_type(add.delay(2).get(timeout=5), int)
assert_type(greet.delay("you", loudly=True).get(), str)
assert_type(fetch.delay("https://example.org").get(), str)
assert_type(count.delay(["a"]).get(), dict[str, int])
assert_type(add.apply_async((2, 3), countdown=10, priority=9), AsyncResult[int])
assert_type(add.apply_async((2,), eta=datetime.now(UTC), headers={"x": 1}), AsyncResult[int])
assert_type(add.delay_many([(1, 2), (3, 4)]), list[AsyncResult[int]])
assert_type(add.apply((2, 3)), EagerResult[int])
assert_type(add.apply((2, 3)).get(), int)
assert_type(report.delay(7).get(), str)
assert_type(add.AsyncResult("id").get(), int)
note.delay("text")
add.apply_async((2,), link=add.s(1), link_error=[note.si("text")])
assert_type(add.apply_async_many([((1,), {})], link=add.s(1)), list[AsyncResult[int]])
wait.delay(0.5)
app.send_task("elsewhere.work", (1, 2), queue="far").get(timeout=1)
app.conf.task_default_queue = "own"


async def inside_a_loop() -> None:
    result = await add.adelay(2, y=3)
    assert_type(result, AsyncResult[int])
    assert_type(await result.aget(timeout=5), int)
    assert_type(await result.astate(), str)
    assert_type(await add.aapply_async((2,), countdown=10), AsyncResult[int])
    assert_type(await add.aapply_async((2,), link=add.s(1)), AsyncResult[int])
    assert_type(await add.adelay_many([(1, 1)]), list[AsyncResult[int]])
    assert_type(await (await fetch.adelay("https://example.org")).aget(), str)
    await app.asend_task("elsewhere.work", (1, 2), queue="far")


lenient = Celery("proj", broker="memory://")


@lenient.task(verbose_name="Adding")
def plus(x: int) -> int:
    return x


assert_type(plus.delay(1).get(), int)
