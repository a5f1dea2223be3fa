"""Writes the golden samples: what real Celery puts on a Redis list, byte for byte.

Run by hand with a Python that has Celery and redis-py: ``python capture.py``. It starts a private
redis-server, publishes each call below and keeps the envelope; only the host name is replaced.
The tests read the files; nothing imports this.
"""

from __future__ import annotations

import datetime as dt
import decimal
import socket
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

import celery
import kombu
import redis

HERE = Path(__file__).parent
ID = "11111111-2222-4333-8444-555555555555"
UTC = dt.timezone.utc  # noqa: UP017 - runs on every Python that Celery supports
ETA = dt.datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
RICH = {
    "moment": dt.datetime(2026, 5, 17, 10, 30, tzinfo=UTC),
    "day": dt.date(2026, 5, 17),
    "clock": dt.time(10, 30, 1),
    "price": decimal.Decimal("9.90"),
    "key": uuid.UUID(int=7),
    "text": b"plain",
    "blob": b"\xff\x00",
    "name": "Zoë ☃",
    "not_a_number": float("inf"),
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def calls(app: celery.Celery) -> dict[str, object]:
    add = app.signature("proj.add", args=(2, 3), app=app)
    link = app.signature("proj.link", app=app)

    def send(**options):
        return lambda: app.send_task("proj.add", (2, 3), task_id=ID, **options)

    return {
        "plain": send(),
        "rich": lambda: app.send_task("proj.rich", (1, None), dict(RICH), task_id=ID),
        "eta": send(eta=ETA, expires=ETA + dt.timedelta(hours=1)),
        "priority": send(priority=6),
        "queue": send(queue="mail"),
        "exchange": send(queue="mails", routing_key="mail.out"),
        "headers": send(headers={"trace": "abc", "seen": RICH["moment"], "deep": {"k": [1, None]}}),
        "options": send(MessageGroupId="g", time_limit=30, soft_time_limit=20.5, shadow="adding"),
        "gzip": send(compression="gzip"),
        "bzip2": send(compression="bzip2"),
        "pickle": send(serializer="pickle"),
        "links": send(link=link, link_error=link),
        "chain": lambda: (add | link | link).apply_async(task_id=ID),
        "chord": lambda: celery.chord([add], link).apply_async(),
        "group": lambda: celery.group([add, link]).apply_async(),
    }


def main() -> None:
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        command = ["redis-server", "--port", str(port), "--save", "", "--dir", directory]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            capture(port)
        finally:
            server.terminate()
            server.wait()


def capture(port: int) -> None:
    client = redis.Redis(port=port)
    while True:
        try:
            client.ping()
            break
        except redis.ConnectionError:
            time.sleep(0.05)
    url = f"redis://127.0.0.1:{port}/0"
    for protocol in (2, 1):
        app = celery.Celery("golden", broker=url, backend=url, set_as_current=True)
        app.conf.task_protocol = protocol
        topics = kombu.Exchange("topics", type="topic")
        app.amqp.queues.add(kombu.Queue("mails", topics, routing_key="mail.#"))
        for name, call in calls(app).items():
            if protocol == 1 and name not in {"plain", "rich", "eta", "links", "gzip", "headers"}:
                continue
            client.flushdb()
            call()
            keys = [key for key in client.scan_iter() if client.type(key) == b"list"]
            raw = client.lindex(keys[0], -1).decode()
            raw = raw.replace(f"@{socket.gethostname()}", "@client")
            suffix = "" if protocol == 2 else "_protocol1"
            (HERE / f"{name}{suffix}.json").write_text(raw + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
