"""The tasks of the lessons. Their worker is started as anybody would: ``umbel -A lessons worker``."""

from __future__ import annotations

from typing import Any

from umbel import Task, Umbel, shared_task

# Nothing is configured, so messages and results are in the file umbel.sqlite3.
app = Umbel("lessons", include=["lessons"])


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
def divide(x: float, y: float) -> float:
    return x / y


@app.task(bind=True)
def count_to(self: Task[..., str], last: int) -> str:
    for number in range(last):
        self.update_state(state="COUNTING", meta={"number": number})
    return "done"


@app.task(bind=True)
def patient(self: Task[..., int], runs: int) -> int:
    if self.request.retries + 1 < runs:
        raise self.retry(countdown=0.1)
    return self.request.retries


@app.task(autoretry_for=(ConnectionError,), retry_kwargs={"countdown": 0.1, "max_retries": 2})
def unreachable(host: str) -> None:
    raise ConnectionError(host)


@app.task(bind=True)
def who(self: Task[..., Any]) -> list[Any]:
    return [self.request.id, self.request.get("tenant"), self.request.delivery_info["routing_key"]]


@shared_task
def greet(name: str) -> str:
    return f"Hello, {name}!"
