"""An app that writes down every signal it is sent, as one JSON object for each line.

TELLING_FOLDER  where its SQLite file is, and what was told: told.jsonl
"""

import json
import os
import time
from pathlib import Path

from umbel import Umbel, signals
from umbel.exceptions import Ignore

FOLDER = Path(os.environ["TELLING_FOLDER"])
MAIN = os.getpid()

app = Umbel("telling", broker=f"sqlite:///{FOLDER}/telling.db", worker_hijack_root_logger=False)


def shown(value):
    """What can be compared of a value: what it is, and what it says."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, (list, tuple)):
        return [shown(one) for one in value]
    if isinstance(value, dict):
        return {str(key): shown(one) for key, one in value.items()}
    name = getattr(value, "name", None)
    return {"type": type(value).__name__, "name": name if isinstance(name, str) else None,
            "text": str(value), "id": str(getattr(value, "id", None))}  # fmt: skip


def tell(signal, sender, **named):
    line = {"signal": signal.name, "sender": shown(sender), "main": os.getpid() == MAIN}
    line |= {"named": {name: shown(value) for name, value in named.items()}}
    line["request"] = app.current_task.request.id if app.current_task else None
    with (FOLDER / "told.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


for name in signals.__all__:
    if name not in ("Signal", "setup_logging"):
        getattr(signals, name).connect(tell)
for one in (app.on_configure, app.on_after_configure, app.on_after_finalize, app.on_after_fork):
    one.connect(tell)


@signals.task_prerun.connect
def wrong(**_told):
    raise ValueError("a receiver that raises")


@signals.before_task_publish.connect(sender="telling.traced")
def trace(headers, body, properties, **_told):
    headers["trace"] = "abc"
    body[1]["y"] = body[1]["y"] + 1
    properties["unknown"] = "kept"


@app.task(name="telling.add")
def add(x, y):
    return x + y


@app.task(name="telling.traced", bind=True)
def traced(self, x, y):
    return [self.request.trace, self.request.properties["unknown"], x + y]


@app.task(name="telling.fail")
def fail(x):
    raise KeyError(x)


@app.task(name="telling.again", bind=True)
def again(self):
    if not self.request.retries:
        raise self.retry(countdown=0, exc=OSError("busy"))
    return self.request.retries


@app.task(name="telling.ignore")
def ignore():
    raise Ignore


@app.task(name="telling.slow", time_limit=0.3)
def slow(seconds):
    time.sleep(seconds)
