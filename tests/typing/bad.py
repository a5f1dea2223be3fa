"""Each marked line is a mistake that ``mypy --strict`` has to find, by the code in the mark."""

from __future__ import annotations

from umbel import Task, Umbel

app = Umbel("proj", broker="memory://")


@app.task
def add(x: int, y: int = 0) -> int:
    return x + y


@app.task(bind=True)
def fetch(self: Task[..., str], url: str) -> str:
    return url


add.delay("2")  # mistake: arg-type
add.delay()  # mistake: call-arg
add.delay(1, 2, 3)  # mistake: call-arg
add.delay(1, z=3)  # mistake: call-arg
add.delay(x="one")  # mistake: arg-type
add("2")  # mistake: arg-type
fetch.delay(1)  # mistake: arg-type
fetch.delay("self", "url")  # mistake: call-arg
word: str = add.delay(1).get()  # mistake: assignment
add.delay(1).get(timeout="soon")  # mistake: arg-type
add.apply_async((1,), coutdown=5)  # mistake: call-arg
add.apply_async((1,), countdown="soon")  # mistake: arg-type
add.apply_async((1,), priority="high")  # mistake: arg-type
add.deley(1)  # mistake: attr-defined


@app.task(max_retrys=3)  # mistake: call-overload untyped-decorator
def work() -> None:
    pass


@app.task(max_retries="three")  # mistake: call-overload untyped-decorator
def more() -> None:
    pass


app.conf.task_default_queue = 7  # mistake: assignment


async def inside_a_loop() -> None:
    await add.adelay("2")  # mistake: arg-type
    await add.adelay()  # mistake: call-arg
    await add.aapply_async((1,), coutdown=5)  # mistake: call-arg
    word: str = await (await add.adelay(1)).aget()  # mistake: assignment
    print(word)
